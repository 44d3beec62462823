// swift-tools-version: 5.9
import PackageDescription

let package = Package(
    name: "PixioDepth",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [.library(name: "PixioDepth", targets: ["PixioDepth"])],
    targets: [
        .target(name: "PixioDepth"),
        .testTarget(name: "PixioDepthTests", dependencies: ["PixioDepth"]),
    ]
)
