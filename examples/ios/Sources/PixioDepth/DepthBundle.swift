import Foundation

/// What of `manifest.json` an application needs. The fields are explained in docs/deploy.md.
public struct DepthBundle: Sendable {
    /// One Core ML package of the bundle.
    public struct Package: Sendable {
        public let name: String
        /// In pixels.
        public let height, width: Int
        /// The `.mlpackage` folder.
        public let url: URL
        public let inputName, outputName: String
    }

    /// "relative_inverse": larger is nearer, no unit. "metric": metres.
    public let kind: String
    public let packages: [Package]

    /// Throws where the manifest is missing, of another schema, or wants its images otherwise than `FramePreparation` makes them.
    public init(folder: URL) throws {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let manifest = try decoder.decode(Manifest.self, from: Data(contentsOf: folder.appendingPathComponent("manifest.json")))
        guard manifest.schemaVersion == 1 else { throw DepthError.manifest("schema version \(manifest.schemaVersion)") }
        let image = manifest.image
        guard image.layout == "NHWC", image.color == "RGB", image.dtype == "uint8", image.resize == "stretch" else {
            throw DepthError.manifest("images are prepared otherwise: \(image)")
        }
        kind = manifest.output.kind
        packages = manifest.artifacts.filter { $0.kind == "coreml" }.compactMap { Package($0, in: folder) }
    }

    /// The package whose shape is nearest to that of the frame, as the Python package chooses.
    public func nearest(height: Int, width: Int) -> Package? {
        func distance(_ package: Package) -> Double {
            abs(log(Double(package.width * height) / Double(package.height * width)))
        }
        return packages.min { distance($0) < distance($1) }
    }
}

public enum DepthError: Error {
    case manifest(String)
    case frame(String)
    case output(String)
}

extension DepthBundle.Package {
    /// `path` names the model file inside of the package.
    fileprivate init?(_ artifact: Manifest.Artifact, in folder: URL) {
        let parts = artifact.path.split(separator: "/")
        guard let end = parts.firstIndex(where: { $0.hasSuffix(".mlpackage") }), artifact.size.count == 2,
              let input = artifact.inputs.first, let output = artifact.outputs.first else { return nil }
        name = artifact.name
        (height, width) = (artifact.size[0], artifact.size[1])
        url = parts[...end].reduce(folder) { $0.appendingPathComponent(String($1)) }
        (inputName, outputName) = (input.name, output.name)
    }
}

private struct Manifest: Decodable {
    struct Image: Decodable { let layout, color, dtype, resize: String }
    struct Output: Decodable { let kind: String }
    struct Tensor: Decodable { let name: String }
    struct Artifact: Decodable {
        let name, kind, path: String
        let size: [Int]
        let inputs, outputs: [Tensor]
    }

    let schemaVersion: Int
    let image: Image
    let output: Output
    let artifacts: [Artifact]
}
