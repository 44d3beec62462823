plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
}

android {
    namespace = "dev.pixioedge.depth"
    compileSdk = 35

    defaultConfig {
        applicationId = "dev.pixioedge.depth"
        minSdk = 27 // NNAPI
        targetSdk = 35
        versionCode = 1
        versionName = "1"
        testInstrumentationRunner = "androidx.test.runner.AndroidJUnitRunner"
        ndk { abiFilters += listOf("arm64-v8a") }
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
    kotlinOptions { jvmTarget = "17" }
    // The bundle and the conformance folder are read by path, because the graphs name their weight file beside them.
    androidResources { noCompress += listOf("onnx", "bin", "npy") }
}

dependencies {
    // CPU, XNNPACK and NNAPI. For QNN take com.microsoft.onnxruntime:onnxruntime-android-qnn instead, not both.
    implementation("com.microsoft.onnxruntime:onnxruntime-android:1.24.2")
    implementation("androidx.activity:activity-ktx:1.9.3")
    implementation("androidx.camera:camera-camera2:1.4.1")
    implementation("androidx.camera:camera-lifecycle:1.4.1")
    androidTestImplementation("androidx.test:runner:1.6.2")
    androidTestImplementation("androidx.test.ext:junit:1.2.1")
}
