package dev.pixioedge.depth

import android.content.Context
import org.json.JSONArray
import org.json.JSONObject
import java.io.File

/** One graph of a bundle: its file, and the (height, width) that it takes. */
data class Artifact(
    val name: String,
    val precision: String,
    val height: Int,
    val width: Int,
    val file: File,
    val inputName: String,
    val outputName: String,
)

/** What of manifest.json an application needs. The fields are explained in docs/deploy.md. */
class DepthBundle(folder: File) {
    private val manifest = JSONObject(File(folder, "manifest.json").readText())

    init {
        require(manifest.getInt("schema_version") == 1) { "manifest of another schema; update this application" }
        val image = manifest.getJSONObject("image")
        val found = listOf("layout", "color", "dtype", "resize").map(image::getString)
        require(found == listOf("NHWC", "RGB", "uint8", "stretch")) { "images are prepared otherwise: $found" }
    }

    /** "relative_inverse": larger is nearer, no unit. "metric": metres. */
    val kind: String = manifest.getJSONObject("output").getString("kind")

    /** Graphs that ONNX Runtime reads, in the order of the manifest. */
    val artifacts: List<Artifact> = manifest.getJSONArray("artifacts").objects()
        .filter { it.getString("kind") == "onnx" && "ort" in it.getJSONObject("requires").getJSONArray("runtimes").strings() }
        .map { artifact(folder, it) }

    /** The graph whose shape is nearest to that of the frame, as `DepthEstimator` of the Python package chooses. */
    fun nearest(height: Int, width: Int, precision: String): Artifact? = artifacts
        .filter { it.precision == precision }
        .minByOrNull { kotlin.math.abs(kotlin.math.ln(it.width.toDouble() / it.height * height / width)) }

    private fun artifact(folder: File, entry: JSONObject): Artifact {
        val size = entry.getJSONArray("size")
        return Artifact(
            name = entry.getString("name"),
            precision = entry.getString("precision"),
            height = size.getInt(0),
            width = size.getInt(1),
            file = File(folder, entry.getString("path")),
            inputName = entry.getJSONArray("inputs").getJSONObject(0).getString("name"),
            outputName = entry.getJSONArray("outputs").getJSONObject(0).getString("name"),
        )
    }

    companion object {
        /**
         * Copy a bundle from the assets to the files of the application, once for each version: graphs find their weights by
         * path, and assets have none.
         */
        fun fromAssets(context: Context, name: String): DepthBundle {
            val folder = File(context.filesDir, name)
            val stamp = File(folder, ".copied-${context.packageManager.getPackageInfo(context.packageName, 0).lastUpdateTime}")
            if (!stamp.exists()) {
                folder.deleteRecursively()
                folder.mkdirs()
                for (file in context.assets.list(name).orEmpty()) {
                    context.assets.open("$name/$file").use { from -> File(folder, file).outputStream().use(from::copyTo) }
                }
                stamp.createNewFile()
            }
            return DepthBundle(folder)
        }
    }
}

internal fun JSONArray.objects(): List<JSONObject> = (0 until length()).map(::getJSONObject)

internal fun JSONArray.strings(): List<String> = (0 until length()).map(::getString)
