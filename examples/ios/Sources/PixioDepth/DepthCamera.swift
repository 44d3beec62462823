#if os(iOS)
import AVFoundation

/// Camera frames in, depth out. Ask for `AVCaptureDevice.requestAccess(for: .video)` before, with NSCameraUsageDescription set.
public final class DepthCamera: NSObject, AVCaptureVideoDataOutputSampleBufferDelegate {
    private let session = AVCaptureSession()
    private let queue = DispatchQueue(label: "depth")
    private let estimator: DepthEstimator
    private let onDepth: (Result<DepthMap, Error>) -> Void

    /// - Parameter onDepth: Called on a queue of its own, for each frame that was not dropped.
    public init(estimator: DepthEstimator, onDepth: @escaping (Result<DepthMap, Error>) -> Void) throws {
        (self.estimator, self.onDepth) = (estimator, onDepth)
        super.init()
        guard let camera = AVCaptureDevice.default(.builtInWideAngleCamera, for: .video, position: .back) else {
            throw DepthError.frame("no back camera")
        }
        let output = AVCaptureVideoDataOutput()
        output.videoSettings = [kCVPixelBufferPixelFormatTypeKey as String: kCVPixelFormatType_32BGRA]
        output.alwaysDiscardsLateVideoFrames = true // the newest frame, never a queue
        output.setSampleBufferDelegate(self, queue: queue)
        session.beginConfiguration()
        session.sessionPreset = .vga640x480 // the package takes less than this
        session.addInput(try AVCaptureDeviceInput(device: camera))
        session.addOutput(output)
        if let connection = output.connection(with: .video) { Self.turnUpright(connection) }
        session.commitConfiguration()
    }

    /// Frames come as the sensor lies, which is landscape: turned by a quarter for a phone held in portrait.
    private static func turnUpright(_ connection: AVCaptureConnection) {
        if #available(iOS 17, *) {
            if connection.isVideoRotationAngleSupported(90) { connection.videoRotationAngle = 90 }
        } else if connection.isVideoOrientationSupported {
            connection.videoOrientation = .portrait
        }
    }

    /// Blocks until the camera runs: not on the main thread.
    public func start() { session.startRunning() }

    public func stop() { session.stopRunning() }

    public func captureOutput(_ output: AVCaptureOutput, didOutput sample: CMSampleBuffer, from connection: AVCaptureConnection) {
        guard let frame = CMSampleBufferGetImageBuffer(sample) else { return }
        onDepth(Result { try estimator.predict(frame) })
    }
}
#endif
