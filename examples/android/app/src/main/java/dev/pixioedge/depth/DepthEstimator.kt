package dev.pixioedge.depth

import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtSession
import ai.onnxruntime.providers.NNAPIFlags
import java.nio.ByteBuffer
import java.util.EnumSet
import kotlin.math.abs

/** Where ONNX Runtime executes. Which is fastest differs from phone to phone: see [fastest]. */
enum class Provider { CPU, XNNPACK, NNAPI, QNN }

/** Runs one graph. Not safe for several threads. */
class DepthEstimator(private val artifact: Artifact, provider: Provider, threads: Int = 4) : AutoCloseable {
    private val environment = OrtEnvironment.getEnvironment()
    private val options = sessionOptions(provider, threads)
    private val session: OrtSession = environment.createSession(artifact.file.path, options)
    private val shape = longArrayOf(1, artifact.height.toLong(), artifact.width.toLong(), 3)

    /** Depth of a prepared image: height * width values in rows, what they mean is [DepthBundle.kind]. */
    fun run(image: ByteBuffer): FloatArray =
        OnnxTensor.createTensor(environment, image, shape, OnnxJavaType.UINT8).use { input ->
            session.run(mapOf(artifact.inputName to input), setOf(artifact.outputName)).use { outputs ->
                val depth = (outputs[0] as OnnxTensor).floatBuffer
                FloatArray(depth.remaining()).also(depth::get)
            }
        }

    override fun close() {
        session.close()
        options.close()
    }

    companion object {
        private const val WARM_UP = 3
        private const val TIMED = 10

        private fun sessionOptions(provider: Provider, threads: Int) = OrtSession.SessionOptions().apply {
            setOptimizationLevel(OrtSession.SessionOptions.OptLevel.ALL_OPT)
            setIntraOpNumThreads(if (provider == Provider.XNNPACK) 1 else threads)
            when (provider) {
                Provider.CPU -> Unit
                Provider.XNNPACK -> {
                    // It has threads of its own; those of ONNX Runtime would only wait in a loop beside them.
                    addConfigEntry("session.intra_op.allow_spinning", "0")
                    addXnnpack(mapOf("intra_op_num_threads" to threads.toString()))
                }
                // Deprecated by Android 15, and still the way to the accelerator of many phones.
                Provider.NNAPI -> addNnapi(EnumSet.of(NNAPIFlags.USE_FP16))
                Provider.QNN -> addQnn(mapOf("backend_path" to "libQnnHtp.so", "htp_performance_mode" to "burst"))
            }
        }

        /**
         * The fastest provider that this phone has and that computes what the CPU computes.
         *
         * @param tolerance largest difference to the CPU, relative to its largest value; 0.02 leaves room for fp16.
         * @return the provider and its median in milliseconds.
         */
        fun fastest(artifact: Artifact, image: ByteBuffer, tolerance: Float = 0.02f): Pair<Provider, Double> {
            val expected = DepthEstimator(artifact, Provider.CPU).use { it.run(image) }
            return Provider.entries.mapNotNull { provider ->
                try {
                    DepthEstimator(artifact, provider).use { estimator ->
                        if (largestDifference(expected, estimator.run(image)) > tolerance) null
                        else provider to medianMs(estimator, image)
                    }
                } catch (error: OrtException) { // not in this build of ONNX Runtime, or not on this phone
                    null
                }
            }.minBy { it.second }
        }

        /** Largest absolute difference, relative to the largest magnitude of [expected]; infinite for NaN. */
        fun largestDifference(expected: FloatArray, got: FloatArray): Float {
            require(expected.size == got.size) { "another shape: ${got.size} values for ${expected.size}" }
            val largest = expected.maxOf { abs(it) }
            val difference = expected.indices.maxOf { abs(expected[it] - got[it]) } // NaN wins
            return if (difference.isNaN()) Float.POSITIVE_INFINITY else difference / largest
        }

        private fun medianMs(estimator: DepthEstimator, image: ByteBuffer): Double {
            repeat(WARM_UP) { estimator.run(image) }
            val times = List(TIMED) {
                val start = System.nanoTime()
                estimator.run(image)
                (System.nanoTime() - start) / 1e6
            }
            return times.sorted()[TIMED / 2]
        }
    }
}
