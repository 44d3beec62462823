import Accelerate
import CoreVideo

/// The only preparation there is: stretch the upright frame to the size of the package. Normalisation is part of the package, and
/// Core ML itself turns BGRA into the RGB that the package was made for. Not safe for several threads.
public final class FramePreparation {
    public let height, width: Int
    private let pool: CVPixelBufferPool

    public init(height: Int, width: Int) throws {
        let attributes: [CFString: Any] = [
            kCVPixelBufferPixelFormatTypeKey: kCVPixelFormatType_32BGRA,
            kCVPixelBufferHeightKey: height,
            kCVPixelBufferWidthKey: width,
            kCVPixelBufferIOSurfacePropertiesKey: [:] as CFDictionary, // so that the Neural Engine reads it without a copy
        ]
        var pool: CVPixelBufferPool?
        guard CVPixelBufferPoolCreate(nil, nil, attributes as CFDictionary, &pool) == kCVReturnSuccess, let pool else {
            throw DepthError.frame("no pool of \(width) x \(height) pixels")
        }
        (self.height, self.width, self.pool) = (height, width, pool)
    }

    /// BGRA of any size in, BGRA of this size out. vImage averages where it shrinks.
    public func prepare(_ frame: CVPixelBuffer) throws -> CVPixelBuffer {
        guard CVPixelBufferGetPixelFormatType(frame) == kCVPixelFormatType_32BGRA else {
            throw DepthError.frame("expected kCVPixelFormatType_32BGRA; set it in the video settings of the camera")
        }
        var created: CVPixelBuffer?
        guard CVPixelBufferPoolCreatePixelBuffer(nil, pool, &created) == kCVReturnSuccess, let result = created else {
            throw DepthError.frame("no pixel buffer")
        }
        CVPixelBufferLockBaseAddress(frame, .readOnly)
        CVPixelBufferLockBaseAddress(result, [])
        defer {
            CVPixelBufferUnlockBaseAddress(result, [])
            CVPixelBufferUnlockBaseAddress(frame, .readOnly)
        }
        var (from, to) = (vImage_Buffer(frame), vImage_Buffer(result))
        // Its name says ARGB, but it treats the four channels alike.
        let status = vImageScale_ARGB8888(&from, &to, nil, vImage_Flags(kvImageHighQualityResampling))
        guard status == kvImageNoError else { throw DepthError.frame("vImage error \(status)") }
        return result
    }
}

extension vImage_Buffer {
    /// A view of locked pixels.
    fileprivate init(_ buffer: CVPixelBuffer) {
        self.init(
            data: CVPixelBufferGetBaseAddress(buffer),
            height: vImagePixelCount(CVPixelBufferGetHeight(buffer)),
            width: vImagePixelCount(CVPixelBufferGetWidth(buffer)),
            rowBytes: CVPixelBufferGetBytesPerRow(buffer)
        )
    }
}
