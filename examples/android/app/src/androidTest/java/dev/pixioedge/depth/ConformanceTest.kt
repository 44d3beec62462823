package dev.pixioedge.depth

import android.graphics.Bitmap
import android.util.Log
import androidx.test.ext.junit.runners.AndroidJUnit4
import androidx.test.platform.app.InstrumentationRegistry
import org.json.JSONObject
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs
import kotlin.math.sqrt

/** The conformance folder of the assets on this phone: every graph, and the resize. */
@RunWith(AndroidJUnit4::class)
class ConformanceTest {
    private val context = InstrumentationRegistry.getInstrumentation().targetContext
    private val conformance = JSONObject(read("conformance.json").decodeToString())

    @Test
    fun everyGraphGivesWhatTheFloatModelGave() {
        val bundle = DepthBundle.fromAssets(context, "nano")
        var checked = 0
        for (case in conformance.getJSONArray("cases").objects()) {
            val artifact = bundle.artifacts.find { it.name == case.getString("name") } ?: continue // not for ONNX Runtime
            checked += 1
            val expected = floats(case.getJSONObject("expected"))
            val got = DepthEstimator(artifact, Provider.CPU).use { it.run(array(case.getJSONObject("input"))) }
            val tolerance = case.getJSONObject("tolerance")
            assertTrue("${artifact.name}: limits that this test does not know", known(tolerance))
            Log.i("pixio-edge", "${artifact.name}: max_rel ${DepthEstimator.largestDifference(expected, got)}")
            check(artifact.name, "max_rel", tolerance, DepthEstimator.largestDifference(expected, got).toDouble())
            check(artifact.name, "rel_l2", tolerance, relativeNorm(expected, got))
        }
        assertTrue("no case of the conformance folder is a graph of the bundle", checked > 0)
    }

    @Test
    fun resizeHasTheRightGeometryAndColours() {
        val preparations = conformance.getJSONArray("preparations").objects()
        assertTrue("no preparation in the conformance folder", preparations.isNotEmpty())
        for (case in preparations) {
            val size = case.getJSONArray("size")
            val got = Preparation(size.getInt(0), size.getInt(1)).prepare(bitmap(case.getJSONObject("source")), 0)
            val expected = array(case.getJSONObject("expected"))
            val mean = (0 until got.capacity()).sumOf { abs((got[it].toInt() and 255) - (expected[it].toInt() and 255)) }
                .toDouble() / got.capacity()
            assertTrue("${case.getString("name")}: $mean grey levels", mean <= case.getDouble("max_mean_difference"))
        }
    }

    private fun known(tolerance: JSONObject) =
        tolerance.keys().asSequence().filterNot(tolerance::isNull).all { it in listOf("max_rel", "rel_l2") }

    private fun check(name: String, limit: String, tolerance: JSONObject, measured: Double) {
        if (tolerance.isNull(limit)) return
        assertTrue("$name: $limit $measured", measured <= tolerance.getDouble(limit)) // false for NaN
    }

    private fun relativeNorm(expected: FloatArray, got: FloatArray): Double {
        val noise = expected.indices.sumOf { (expected[it] - got[it]).toDouble().let { error -> error * error } }
        return sqrt(noise / expected.sumOf { it.toDouble() * it })
    }

    private fun bitmap(entry: JSONObject): Bitmap {
        val shape = entry.getJSONArray("shape")
        val bytes = array(entry)
        val pixels = IntArray(shape.getInt(0) * shape.getInt(1)) {
            val (red, green, blue) = (0..2).map { channel -> bytes[3 * it + channel].toInt() and 255 }
            (255 shl 24) or (red shl 16) or (green shl 8) or blue
        }
        return Bitmap.createBitmap(pixels, shape.getInt(1), shape.getInt(0), Bitmap.Config.ARGB_8888)
    }

    private fun floats(entry: JSONObject): FloatArray {
        val buffer = array(entry).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
        return FloatArray(buffer.remaining()).also(buffer::get)
    }

    /** Data of a .npy file of version 1.0, which conformance folders consist of. */
    private fun array(entry: JSONObject): ByteBuffer {
        val file = read(entry.getString("path"))
        val start = 10 + ((file[8].toInt() and 255) or ((file[9].toInt() and 255) shl 8))
        val data = ByteBuffer.allocateDirect(file.size - start)
        data.put(file, start, file.size - start).rewind()
        return data
    }

    private fun read(name: String): ByteArray = context.assets.open("conformance/$name").use { it.readBytes() }
}
