import CoreVideo
import Foundation
import XCTest

@testable import PixioDepth

/// The stored outputs on this Mac or phone: PIXIO_BUNDLE names the bundle, PIXIO_CONFORMANCE the conformance folder.
final class ConformanceTests: XCTestCase {
    private struct Conformance: Decodable {
        struct File: Decodable { let path: String; let shape: [Int] }
        struct Tolerance: Decodable { let max_abs, max_rel, rel_l2, min_sqnr_db: Double? }
        struct Case: Decodable { let name, kind: String; let input, expected: File; let tolerance: Tolerance }
        struct Preparation: Decodable {
            let name: String
            let size: [Int]
            let source, expected: File
            let max_mean_difference: Double
        }
        let cases: [Case]
        let preparations: [Preparation]
    }

    private func folder(_ variable: String) throws -> URL {
        guard let path = ProcessInfo.processInfo.environment[variable] else { throw XCTSkip("set \(variable)") }
        return URL(fileURLWithPath: path)
    }

    private func conformance() throws -> (Conformance, URL) {
        let folder = try folder("PIXIO_CONFORMANCE")
        let data = try Data(contentsOf: folder.appendingPathComponent("conformance.json"))
        return (try JSONDecoder().decode(Conformance.self, from: data), folder)
    }

    func testEveryPackageGivesWhatTheFloatModelGave() async throws {
        let bundle = try DepthBundle(folder: folder("PIXIO_BUNDLE"))
        let (conformance, folder) = try conformance()
        let cases = conformance.cases.filter { $0.kind == "coreml" }
        XCTAssertFalse(cases.isEmpty, "no Core ML case in PIXIO_CONFORMANCE: write it from a bundle that has packages")
        for test in cases {
            let package = try XCTUnwrap(bundle.packages.first { $0.name == test.name })
            let expected: [Float] = try read(folder, test.expected)
            let image = try pixels(try read(folder, test.input), height: package.height, width: package.width)
            let got = try await DepthEstimator(package).run(image).values
            let errors = zip(expected, got).map { Double($1) - Double($0) }
            let largest = expected.map { Double(abs($0)) }.max() ?? 0
            let noise = errors.reduce(0) { $0 + $1 * $1 }, signal = expected.reduce(0) { $0 + Double($1) * Double($1) }
            XCTAssertTrue(errors.allSatisfy(\.isFinite), test.name)
            XCTAssertNil(test.tolerance.max_abs ?? test.tolerance.min_sqnr_db, "a limit that this test does not know")
            if let limit = test.tolerance.max_rel {
                XCTAssertLessThanOrEqual((errors.map(abs).max() ?? 0) / largest, limit, test.name)
            }
            if let limit = test.tolerance.rel_l2 {
                XCTAssertLessThanOrEqual((noise / signal).squareRoot(), limit, test.name)
            }
        }
    }

    func testResizeHasTheRightGeometryAndColours() throws {
        let (conformance, folder) = try conformance()
        XCTAssertFalse(conformance.preparations.isEmpty, "no preparation in PIXIO_CONFORMANCE")
        for test in conformance.preparations {
            let source = try pixels(try read(folder, test.source), height: test.source.shape[0], width: test.source.shape[1])
            let got = try rgb(FramePreparation(height: test.size[0], width: test.size[1]).prepare(source))
            let expected: [UInt8] = try read(folder, test.expected)
            let sum = zip(expected, got).reduce(0) { $0 + abs(Int($1.0) - Int($1.1)) }
            XCTAssertLessThanOrEqual(Double(sum) / Double(expected.count), test.max_mean_difference, test.name)
        }
    }

    /// Data of a .npy file of version 1.0, which conformance folders consist of.
    private func read<Element>(_ folder: URL, _ file: Conformance.File) throws -> [Element] {
        let data = try Data(contentsOf: folder.appendingPathComponent(file.path))
        let start = 10 + Int(data[8]) + Int(data[9]) << 8
        let values = data.subdata(in: start..<data.count).withUnsafeBytes { Array($0.bindMemory(to: Element.self)) }
        XCTAssertEqual(values.count, file.shape.reduce(1, *))
        return values
    }

    private func pixels(_ rgb: [UInt8], height: Int, width: Int) throws -> CVPixelBuffer {
        var created: CVPixelBuffer?
        CVPixelBufferCreate(nil, width, height, kCVPixelFormatType_32BGRA, nil, &created)
        let buffer = try XCTUnwrap(created)
        try each(buffer) { pixel, index in
            (pixel[0], pixel[1], pixel[2], pixel[3]) = (rgb[3 * index + 2], rgb[3 * index + 1], rgb[3 * index], 255)
        }
        return buffer
    }

    private func rgb(_ buffer: CVPixelBuffer) throws -> [UInt8] {
        var values: [UInt8] = []
        try each(buffer) { pixel, _ in values += [pixel[2], pixel[1], pixel[0]] }
        return values
    }

    /// Every BGRA pixel with its index, row by row.
    private func each(_ buffer: CVPixelBuffer, _ body: (UnsafeMutablePointer<UInt8>, Int) -> Void) throws {
        CVPixelBufferLockBaseAddress(buffer, [])
        defer { CVPixelBufferUnlockBaseAddress(buffer, []) }
        let base = try XCTUnwrap(CVPixelBufferGetBaseAddress(buffer)).assumingMemoryBound(to: UInt8.self)
        let (width, stride) = (CVPixelBufferGetWidth(buffer), CVPixelBufferGetBytesPerRow(buffer))
        for row in 0..<CVPixelBufferGetHeight(buffer) {
            for column in 0..<width { body(base + row * stride + 4 * column, row * width + column) }
        }
    }
}
