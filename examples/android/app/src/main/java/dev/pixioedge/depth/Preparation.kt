package dev.pixioedge.depth

import android.graphics.Bitmap
import android.graphics.Matrix
import java.nio.ByteBuffer

/**
 * The only preparation there is: stretch the upright frame to the size of the graph, as RGB bytes. Mean and deviation are part
 * of the graph. Reused between frames; not safe for several threads.
 */
class Preparation(private val height: Int, private val width: Int) {
    private val pixels = IntArray(height * width)

    /** uint8 (1, height, width, 3), to be given to the graph as it is. */
    val bytes: ByteBuffer = ByteBuffer.allocateDirect(height * width * 3)

    /** Fill [bytes] from a frame. [rotationDegrees] is what turns it upright, as CameraX says. */
    fun prepare(frame: Bitmap, rotationDegrees: Int): ByteBuffer {
        val turned = if (rotationDegrees == 0) frame else turn(frame, rotationDegrees)
        // Halving first averages, which bilinear filtering alone does not do below half the size.
        var image = turned
        while (image.width >= 2 * width && image.height >= 2 * height) {
            image = Bitmap.createScaledBitmap(image, image.width / 2, image.height / 2, true)
        }
        val scaled = Bitmap.createScaledBitmap(image, width, height, true)
        scaled.getPixels(pixels, 0, width, 0, 0, width, height)
        bytes.rewind()
        for (pixel in pixels) { // 0xAARRGGBB
            bytes.put((pixel shr 16).toByte()).put((pixel shr 8).toByte()).put(pixel.toByte())
        }
        bytes.rewind()
        return bytes
    }

    private fun turn(frame: Bitmap, degrees: Int): Bitmap {
        val matrix = Matrix().apply { postRotate(degrees.toFloat()) }
        return Bitmap.createBitmap(frame, 0, 0, frame.width, frame.height, matrix, true)
    }
}
