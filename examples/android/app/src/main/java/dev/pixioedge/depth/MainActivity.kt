package dev.pixioedge.depth

import android.Manifest
import android.content.pm.PackageManager
import android.graphics.Bitmap
import android.os.Bundle
import android.util.Log
import android.widget.ImageView
import androidx.activity.ComponentActivity
import androidx.activity.result.contract.ActivityResultContracts
import androidx.camera.core.CameraSelector
import androidx.camera.core.ImageAnalysis
import androidx.camera.core.ImageProxy
import androidx.camera.lifecycle.ProcessCameraProvider
import androidx.core.content.ContextCompat
import java.util.concurrent.Executors

/** Camera frames in, depth on the screen: near is bright. */
class MainActivity : ComponentActivity() {
    private val worker = Executors.newSingleThreadExecutor()
    private lateinit var view: ImageView
    private var running: Running? = null

    private class Running(val artifact: Artifact, val preparation: Preparation, val estimator: DepthEstimator)

    private val permission = registerForActivityResult(ActivityResultContracts.RequestPermission()) { if (it) start() }

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        view = ImageView(this)
        setContentView(view)
        val granted = ContextCompat.checkSelfPermission(this, Manifest.permission.CAMERA)
        if (granted == PackageManager.PERMISSION_GRANTED) start() else permission.launch(Manifest.permission.CAMERA)
    }

    override fun onDestroy() {
        super.onDestroy()
        worker.execute { running?.estimator?.close() }
        worker.shutdown()
    }

    private fun start() {
        val future = ProcessCameraProvider.getInstance(this)
        future.addListener({
            val analysis = ImageAnalysis.Builder()
                .setBackpressureStrategy(ImageAnalysis.STRATEGY_KEEP_ONLY_LATEST) // the newest frame, never a queue
                .setOutputImageFormat(ImageAnalysis.OUTPUT_IMAGE_FORMAT_RGBA_8888)
                .build()
            analysis.setAnalyzer(worker) { frame -> frame.use(::show) }
            future.get().bindToLifecycle(this, CameraSelector.DEFAULT_BACK_CAMERA, analysis)
        }, ContextCompat.getMainExecutor(this))
    }

    /** On the worker thread. */
    private fun show(frame: ImageProxy) {
        val bitmap = frame.toBitmap()
        val rotation = frame.imageInfo.rotationDegrees
        val now = running ?: open(bitmap, rotation).also { running = it }
        val image = now.preparation.prepare(bitmap, rotation)
        val picture = grey(now.estimator.run(image), now.artifact.height, now.artifact.width)
        runOnUiThread { view.setImageBitmap(picture) }
    }

    private fun open(frame: Bitmap, rotation: Int): Running {
        val bundle = DepthBundle.fromAssets(this, "nano")
        val upright = if (rotation % 180 == 0) frame.height to frame.width else frame.width to frame.height
        val artifact = checkNotNull(bundle.nearest(upright.first, upright.second, "fp32")) { "no fp32 graph in the bundle" }
        val preparation = Preparation(artifact.height, artifact.width)
        val (provider, ms) = DepthEstimator.fastest(artifact, preparation.prepare(frame, rotation))
        Log.i("pixio-edge", "${artifact.name} on $provider, $ms ms")
        return Running(artifact, preparation, DepthEstimator(artifact, provider))
    }

    private fun grey(depth: FloatArray, height: Int, width: Int): Bitmap {
        val low = depth.min()
        val scale = 255f / (depth.max() - low).coerceAtLeast(1e-6f)
        val pixels = IntArray(depth.size) { (((depth[it] - low) * scale).toInt() * 0x010101) or (0xFF shl 24) }
        return Bitmap.createBitmap(pixels, width, height, Bitmap.Config.ARGB_8888)
    }
}
