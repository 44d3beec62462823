import CoreML
import CoreVideo

/// Depth of one frame, in rows; what the values mean is `DepthBundle.kind`.
public struct DepthMap: Sendable {
    public let height, width: Int
    public let values: [Float]
}

/// Runs one package. Not safe for several threads.
public final class DepthEstimator {
    public let package: DepthBundle.Package
    private let model: MLModel
    private let preparation: FramePreparation

    /// Compiles the package, which takes seconds; keep the estimator. An application that ships one package adds it to its Xcode
    /// target instead, which compiles it at build time, and loads the `.mlmodelc`.
    public init(_ package: DepthBundle.Package, computeUnits: MLComputeUnits = .all) async throws {
        let configuration = MLModelConfiguration()
        configuration.computeUnits = computeUnits
        let compiled = try await MLModel.compileModel(at: package.url)
        model = try await MLModel.load(contentsOf: compiled, configuration: configuration)
        preparation = try FramePreparation(height: package.height, width: package.width)
        self.package = package
    }

    /// A BGRA frame of any size, upright.
    public func predict(_ frame: CVPixelBuffer) throws -> DepthMap {
        try run(preparation.prepare(frame))
    }

    /// A BGRA frame that has the size of the package.
    public func run(_ image: CVPixelBuffer) throws -> DepthMap {
        let input = try MLDictionaryFeatureProvider(dictionary: [package.inputName: MLFeatureValue(pixelBuffer: image)])
        guard let depth = try model.prediction(from: input).featureValue(for: package.outputName) else {
            throw DepthError.output("no output '\(package.outputName)'")
        }
        let values = try depth.multiArrayValue.map(elements(of:)) ?? depth.imageBufferValue.map(elements(of:))
        guard let values, values.count == package.height * package.width else {
            throw DepthError.output("'\(package.outputName)' is not a depth of \(package.width) x \(package.height)")
        }
        return DepthMap(height: package.height, width: package.width, values: values)
    }

    /// The compute units that work on this device, fastest first, with the median in milliseconds of each: the Neural Engine is not
    /// always it. Units that cannot load or run the package, or give a depth that is not finite, are left out; throws if all do.
    public static func fastest(_ package: DepthBundle.Package, frame: CVPixelBuffer) async throws -> [(MLComputeUnits, Double)] {
        var measured: [(MLComputeUnits, Double)] = []
        var failure: Error?
        for units in [MLComputeUnits.cpuAndNeuralEngine, .cpuAndGPU, .all, .cpuOnly] {
            do {
                measured.append((units, try await DepthEstimator(package, computeUnits: units).measure(frame)))
            } catch {
                failure = error
            }
        }
        if measured.isEmpty, let failure { throw failure }
        return measured.sorted { $0.1 < $1.1 }
    }

    /// Median of a prediction in milliseconds, after three that warm up.
    private func measure(_ frame: CVPixelBuffer) throws -> Double {
        for _ in 0..<3 {
            guard try predict(frame).values.allSatisfy(\.isFinite) else { throw DepthError.output("depth that is not finite") }
        }
        let times = try (0..<20).map { _ in
            let start = DispatchTime.now().uptimeNanoseconds
            _ = try predict(frame)
            return Double(DispatchTime.now().uptimeNanoseconds - start) / 1e6
        }
        return times.sorted()[times.count / 2]
    }
}

/// Of a package with `--depth-output array`: rows one after the other, whatever the strides of the array and the type of its elements.
private func elements(of array: MLMultiArray) -> [Float] {
    MLShapedArray<Float>(converting: array).scalars
}

/// Of a package with `--depth-output image`: kCVPixelFormatType_OneComponent16Half, whose rows may be padded.
private func elements(of image: CVPixelBuffer) throws -> [Float] {
    guard CVPixelBufferGetPixelFormatType(image) == kCVPixelFormatType_OneComponent16Half else {
        throw DepthError.output("an image of another format than GRAYSCALE_FLOAT16")
    }
    #if arch(arm64)
    CVPixelBufferLockBaseAddress(image, .readOnly)
    defer { CVPixelBufferUnlockBaseAddress(image, .readOnly) }
    guard let base = CVPixelBufferGetBaseAddress(image) else { throw DepthError.output("no pixels") }
    let (width, stride) = (CVPixelBufferGetWidth(image), CVPixelBufferGetBytesPerRow(image))
    return (0..<CVPixelBufferGetHeight(image)).flatMap { row in
        let pixels = (base + row * stride).assumingMemoryBound(to: Float16.self)
        return UnsafeBufferPointer(start: pixels, count: width).map { Float($0) }
    }
    #else
    throw DepthError.output("Float16 needs Apple silicon")
    #endif
}
