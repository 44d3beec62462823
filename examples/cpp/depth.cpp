// Depth of a pixio-edge bundle from C++: ONNX Runtime and the standard library, nothing else.
//
//   pixio-edge conformance write nano -o conformance
//   depth BUNDLE_FOLDER conformance [--case NAME] [--threads N] [--runs N] [--output FOLDER]
//
// For every case that ONNX Runtime can run: resize the stored picture (`resize` is what an application does with a
// camera frame), feed the stored input to the graph, compare with the stored output, and time it. Exit status: 0 every
// case is inside its limits, 1 one is not, 2 bad usage or files. docs/deploy.md explains conformance.json.

#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace fs = std::filesystem;

// JSON: just what reading needs.

struct Json {
  enum class Kind { null, boolean, number, string, array, object } kind = Kind::null;
  bool boolean = false;
  double number = 0;
  std::string text;
  std::vector<Json> items;                             // of an array
  std::vector<std::pair<std::string, Json>> members;   // of an object

  const Json& at(const std::string& name) const {
    for (const auto& [key, value] : members)
      if (key == name) return value;
    throw std::runtime_error("conformance.json: no field '" + name + "'");
  }
  const std::string& str() const { return expect(Kind::string, "text"), text; }
  double num() const { return expect(Kind::number, "a number"), number; }
  bool is_null() const { return kind == Kind::null; }

 private:
  void expect(Kind wanted, const char* what) const {
    if (kind != wanted) throw std::runtime_error(std::string("conformance.json: expected ") + what);
  }
};

class JsonReader {
 public:
  explicit JsonReader(const std::string& text) : at_(text.data()), end_(text.data() + text.size()) {}

  Json read() {
    Json value = read_value(0);
    skip_space();
    if (at_ != end_) fail();
    return value;
  }

 private:
  static constexpr int kMaxDepth = 64;  // a hostile file must not use up the stack

  [[noreturn]] static void fail() { throw std::runtime_error("conformance.json: not JSON"); }
  void skip_space() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r')) ++at_;
  }
  char next() { return at_ == end_ ? (fail(), '\0') : *at_++; }
  char peek() {
    skip_space();
    return at_ == end_ ? (fail(), '\0') : *at_;
  }
  void literal(const char* word) {
    for (; *word; ++word)
      if (next() != *word) fail();
  }

  Json read_value(int depth) {
    if (depth > kMaxDepth) fail();
    Json value;
    switch (peek()) {
      case '{': return read_members(depth);
      case '[': return read_items(depth);
      case '"': value.kind = Json::Kind::string; value.text = read_string(); return value;
      case 't': literal("true"); value.kind = Json::Kind::boolean; value.boolean = true; return value;
      case 'f': literal("false"); value.kind = Json::Kind::boolean; return value;
      case 'n': literal("null"); return value;
      default: return read_number();
    }
  }

  Json read_number() {
    std::string digits;
    while (at_ != end_ && std::strchr("+-.0123456789eE", *at_)) digits += *at_++;
    char* stop = nullptr;
    Json value;
    value.kind = Json::Kind::number;
    value.number = std::strtod(digits.c_str(), &stop);
    if (digits.empty() || *stop != '\0') fail();
    return value;
  }

  Json read_items(int depth) {
    Json value;
    value.kind = Json::Kind::array;
    next();
    if (peek() == ']') return next(), value;
    for (;;) {
      value.items.push_back(read_value(depth + 1));
      if (peek() == ']') return next(), value;
      if (next() != ',') fail();
    }
  }

  Json read_members(int depth) {
    Json value;
    value.kind = Json::Kind::object;
    next();
    if (peek() == '}') return next(), value;
    for (;;) {
      if (peek() != '"') fail();
      std::string name = read_string();
      if (peek() != ':') fail();
      next();
      value.members.emplace_back(std::move(name), read_value(depth + 1));
      if (peek() == '}') return next(), value;
      if (next() != ',') fail();
    }
  }

  std::string read_string() {
    std::string text;
    next();
    for (char c = next(); c != '"'; c = next()) text += c == '\\' ? read_escape() : std::string(1, c);
    return text;
  }

  std::string read_escape() {
    const char c = next();
    if (c == 'u') return read_code_point();
    static const std::string from = "\"\\/bfnrt", to = "\"\\/\b\f\n\r\t";
    const auto index = from.find(c);
    if (index == std::string::npos) fail();
    return std::string(1, to[index]);
  }

  // As UTF-8. Pairs of surrogates, which only characters beyond the basic plane need, are refused.
  std::string read_code_point() {
    unsigned code = 0;
    for (int i = 0; i < 4; ++i) code = code * 16 + hex(next());
    const auto byte = [](unsigned value) { return static_cast<char>(value); };
    if (code < 0x80) return {byte(code)};
    if (code < 0x800) return {byte(0xC0 | code >> 6), byte(0x80 | (code & 0x3F))};
    if (code >= 0xD800 && code < 0xE000) fail();
    return {byte(0xE0 | code >> 12), byte(0x80 | (code >> 6 & 0x3F)), byte(0x80 | (code & 0x3F))};
  }

  static unsigned hex(char c) {
    if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
    c = static_cast<char>(c | 0x20);
    return c >= 'a' && c <= 'f' ? static_cast<unsigned>(c - 'a') + 10 : (fail(), 0U);
  }

  const char* at_;
  const char* end_;
};

// .npy: version 1.0, C order, uint8 or little-endian float32.

template <typename T>
struct Array {
  std::vector<int64_t> shape;
  std::vector<T> values;
};

template <typename T>
constexpr const char* descr() {
  return sizeof(T) == 1 ? "|u1" : "<f4";
}

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

size_t count_of(const std::vector<int64_t>& shape) {
  size_t count = 1;
  for (const int64_t length : shape) count *= static_cast<size_t>(length);
  return count;
}

template <typename T>
Array<T> read_npy(const fs::path& path, const Json& shape) {
  Array<T> array;
  for (const Json& length : shape.items) array.shape.push_back(static_cast<int64_t>(length.num()));
  const std::string data = read_file(path);
  const auto bad = [&](const char* what) { return std::runtime_error(path.string() + ": " + what); };
  if (data.size() < 10 || data.compare(0, 8, std::string("\x93NUMPY\x01\x00", 8)) != 0) throw bad("not a .npy 1.0");
  const size_t start = 10 + (static_cast<unsigned char>(data[8]) | static_cast<unsigned char>(data[9]) << 8);
  const std::string header = data.substr(10, start - 10);
  if (header.find(std::string("'descr': '") + descr<T>()) == std::string::npos) throw bad("not of its dtype");
  if (header.find("'fortran_order': False") == std::string::npos) throw bad("not in C order");
  const size_t count = count_of(array.shape);
  if (data.size() < start || data.size() - start != count * sizeof(T)) throw bad("another length than its shape");
  array.values.resize(count);
  std::memcpy(array.values.data(), data.data() + start, count * sizeof(T));
  return array;
}

template <typename T>
void write_npy(const fs::path& path, const Array<T>& array) {
  std::string shape;
  for (const int64_t length : array.shape) shape += std::to_string(length) + ", ";
  std::string header = std::string("{'descr': '") + descr<T>() + "', 'fortran_order': False, ";
  header += "'shape': (" + shape + "), }";
  header.append(63 - (10 + header.size()) % 64, ' ').append("\n");
  std::ofstream file(path, std::ios::binary);
  file.write("\x93NUMPY\x01\x00", 8);
  file.put(static_cast<char>(header.size() & 0xFF)).put(static_cast<char>(header.size() >> 8));
  file << header;
  file.write(reinterpret_cast<const char*>(array.values.data()),
             static_cast<std::streamsize>(array.values.size() * sizeof(T)));
  if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
}

// The preparation: stretch to the size of the graph, no normalisation.

// Source pixels under one target pixel, with their weights. Where the image shrinks they are averaged by the share that
// is covered; where it grows the two nearest are interpolated. Both are the usual half-pixel convention.
struct Span {
  int first;
  std::vector<float> weights;
};

std::vector<Span> spans(int source, int target) {
  std::vector<Span> result;
  const double ratio = static_cast<double>(source) / target;
  const double length = std::max(ratio, 1.0);  // a box of one pixel around the centre interpolates linearly
  for (int i = 0; i < target; ++i) {
    const double low = (i + 0.5) * ratio - 0.5 * length, high = low + length;
    const int first = std::max(0, static_cast<int>(std::floor(low)));
    const int last = std::min(source - 1, static_cast<int>(std::ceil(high)) - 1);
    Span span{first, std::vector<float>(static_cast<size_t>(last - first) + 1)};
    for (int k = static_cast<int>(std::floor(low)); k < high; ++k) {
      const double share = std::min(high, k + 1.0) - std::max(low, static_cast<double>(k));
      // Beyond the border, the outermost pixel counts.
      span.weights[static_cast<size_t>(std::clamp(k, first, last) - first)] += static_cast<float>(share / length);
    }
    result.push_back(std::move(span));
  }
  return result;
}

// Bytes (h, w, 3) in RGB to bytes (1, height, width, 3).
Array<uint8_t> resize(const Array<uint8_t>& image, int height, int width) {
  const int source_width = static_cast<int>(image.shape[1]);
  const auto rows = spans(static_cast<int>(image.shape[0]), height), columns = spans(source_width, width);
  Array<uint8_t> result{{1, height, width, 3}, std::vector<uint8_t>(static_cast<size_t>(height) * width * 3)};
  uint8_t* out = result.values.data();
  for (const Span& row : rows)
    for (const Span& column : columns)
      for (int channel = 0; channel < 3; ++channel) {
        float sum = 0;
        for (size_t y = 0; y < row.weights.size(); ++y)
          for (size_t x = 0; x < column.weights.size(); ++x)
            sum += row.weights[y] * column.weights[x] *
                   image.values[((row.first + y) * source_width + column.first + x) * 3 + channel];
        *out++ = static_cast<uint8_t>(std::lround(std::clamp(sum, 0.0F, 255.0F)));
      }
  return result;
}

// Comparison: the definitions of pixio_edge/parity.py.

struct Difference {
  double max_abs = 0, max_rel = 0, rel_l2 = 0;
};

Difference compare(const Array<float>& wanted, const Array<float>& got) {
  if (wanted.values.size() != got.values.size()) throw std::runtime_error("the graph gives another shape");
  double largest = 0, noise = 0, signal = 0;
  Difference difference;
  for (size_t i = 0; i < wanted.values.size(); ++i) {
    const double error = static_cast<double>(got.values[i]) - wanted.values[i];
    if (!std::isfinite(error)) return {HUGE_VAL, HUGE_VAL, HUGE_VAL};
    difference.max_abs = std::max(difference.max_abs, std::abs(error));
    largest = std::max(largest, std::abs(static_cast<double>(wanted.values[i])));
    noise += error * error;
    signal += static_cast<double>(wanted.values[i]) * wanted.values[i];
  }
  const auto ratio = [](double value, double scale) { return value == 0 ? 0 : scale == 0 ? HUGE_VAL : value / scale; };
  difference.max_rel = ratio(difference.max_abs, largest);
  difference.rel_l2 = ratio(std::sqrt(noise), std::sqrt(signal));
  return difference;
}

// Worst ratio of measured to allowed over the limits that are set; up to 1 is inside.
double margin(const Difference& measured, const Json& tolerance) {
  double worst = 0;
  const auto apply = [&](const char* name, double value) {
    const Json& limit = tolerance.at(name);
    if (!limit.is_null()) worst = std::max(worst, limit.num() > 0 ? value / limit.num() : value > 0 ? HUGE_VAL : 0);
  };
  apply("max_abs", measured.max_abs);
  apply("max_rel", measured.max_rel);
  apply("rel_l2", measured.rel_l2);
  const Json& decibels = tolerance.at("min_sqnr_db");
  if (!decibels.is_null()) worst = std::max(worst, measured.rel_l2 / std::pow(10.0, -decibels.num() / 20.0));
  return worst;
}

double mean_difference(const Array<uint8_t>& wanted, const Array<uint8_t>& got) {
  double sum = 0;
  for (size_t i = 0; i < wanted.values.size(); ++i) sum += std::abs(wanted.values[i] - got.values[i]);
  return sum / static_cast<double>(wanted.values.size());
}

// The graph.

struct Options {
  fs::path bundle, conformance, output;
  std::string only;
  int threads = 1, runs = 20;
};

struct Latency {
  double median_ms = 0, best_ms = 0;
};

class Graph {
 public:
  Graph(const Ort::Env& env, const fs::path& path, const Json& depth_case, int threads)
      : session_(env, path.c_str(), session_options(threads)),
        input_name_(depth_case.at("input_name").str()),
        output_name_(depth_case.at("output_name").str()) {}

  // uint8 (1, h, w, 3), RGB, 0..255 as they are: mean and deviation are folded into the weights of the graph.
  Array<float> run(Array<uint8_t>& image) {
    const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    const auto input = Ort::Value::CreateTensor<uint8_t>(memory, image.values.data(), image.values.size(),
                                                         image.shape.data(), image.shape.size());
    const char* inputs[] = {input_name_.c_str()};
    const char* outputs[] = {output_name_.c_str()};
    const auto results = session_.Run(Ort::RunOptions{nullptr}, inputs, &input, 1, outputs, 1);
    const auto info = results[0].GetTensorTypeAndShapeInfo();
    if (info.GetElementType() != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) throw std::runtime_error("depth is not float32");
    const float* values = results[0].GetTensorData<float>();
    return {info.GetShape(), {values, values + info.GetElementCount()}};
  }

  Latency time(Array<uint8_t>& image, int runs) {
    run(image);  // the first run plans its memory
    std::vector<double> times;
    for (int i = 0; i < runs; ++i) {
      const auto start = std::chrono::steady_clock::now();
      run(image);
      times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
    }
    std::sort(times.begin(), times.end());
    return {times[times.size() / 2], times.front()};
  }

 private:
  static Ort::SessionOptions session_options(int threads) {
    Ort::SessionOptions options;
    options.SetIntraOpNumThreads(threads);
    options.SetGraphOptimizationLevel(ORT_ENABLE_ALL);
    return options;
  }

  Ort::Session session_;
  std::string input_name_, output_name_;
};

bool is_for_onnxruntime(const Json& depth_case) {
  if (depth_case.at("kind").str() != "onnx") return false;
  const auto& runtimes = depth_case.at("runtimes").items;
  return std::any_of(runtimes.begin(), runtimes.end(), [](const Json& name) { return name.str() == "ort"; });
}

bool run_case(const Ort::Env& env, const Json& depth_case, const Options& options) {
  const auto load = [&](const char* field) -> std::pair<fs::path, const Json&> {
    const Json& file = depth_case.at(field);
    return {options.conformance / fs::u8path(file.at("path").str()), file.at("shape")};
  };
  const auto [input_path, input_shape] = load("input");
  const auto [expected_path, expected_shape] = load("expected");
  auto image = read_npy<uint8_t>(input_path, input_shape);
  const auto expected = read_npy<float>(expected_path, expected_shape);
  Graph graph(env, options.bundle / fs::u8path(depth_case.at("model").str()), depth_case, options.threads);
  const auto depth = graph.run(image);
  const auto measured = compare(expected, depth);
  const double share = margin(measured, depth_case.at("tolerance"));
  const auto latency = graph.time(image, options.runs);
  const std::string& name = depth_case.at("name").str();
  std::printf("%s  %-30s  max_rel %.2e  rel_l2 %.2e  %5.1f %% of allowed  median %.2f ms  best %.2f ms\n",
              share <= 1 ? "pass" : "FAIL", name.c_str(), measured.max_rel, measured.rel_l2, 100 * share,
              latency.median_ms, latency.best_ms);
  if (!options.output.empty()) write_npy(options.output / fs::u8path(name + ".npy"), depth);
  return share <= 1;
}

bool run_preparation(const Json& preparation, const Options& options) {
  const auto load = [&](const char* field) {
    const Json& file = preparation.at(field);
    return read_npy<uint8_t>(options.conformance / fs::u8path(file.at("path").str()), file.at("shape"));
  };
  const auto& size = preparation.at("size").items;
  const auto prepared = resize(load("source"), static_cast<int>(size[0].num()), static_cast<int>(size[1].num()));
  const double difference = mean_difference(load("expected"), prepared);
  const double limit = preparation.at("max_mean_difference").num();
  const std::string& name = preparation.at("name").str();
  std::printf("%s  %-30s  %.2f grey levels of %.2f\n", difference <= limit ? "pass" : "FAIL", name.c_str(), difference,
              limit);
  if (!options.output.empty()) write_npy(options.output / fs::u8path(name + ".npy"), prepared);
  return difference <= limit;
}

Options parse(int count, char** arguments) {
  if (count < 3)
    throw std::runtime_error("usage: depth BUNDLE CONFORMANCE [--case NAME] [--threads N] [--runs N] [--output DIR]");
  Options options;
  options.bundle = arguments[1];
  options.conformance = arguments[2];
  for (int i = 3; i < count; i += 2) {
    const std::string name = arguments[i];
    if (i + 1 == count) throw std::runtime_error(name + ": no value");
    if (name == "--case") options.only = arguments[i + 1];
    else if (name == "--threads") options.threads = std::stoi(arguments[i + 1]);
    else if (name == "--runs") options.runs = std::max(1, std::stoi(arguments[i + 1]));
    else if (name == "--output") options.output = arguments[i + 1];
    else throw std::runtime_error(name + ": unknown option");
  }
  if (!options.output.empty()) fs::create_directories(options.output);
  return options;
}

int main(int count, char** arguments) {
  try {
    const Options options = parse(count, arguments);
    // The headers may be older than the library, but not newer: then there is no table of functions for them.
    if (OrtGetApiBase()->GetApi(ORT_API_VERSION) == nullptr)
      throw std::runtime_error(std::string("older than its headers: ") + OrtGetApiBase()->GetVersionString());
    const Ort::Env env(ORT_LOGGING_LEVEL_ERROR, "depth");
    const Json conformance = JsonReader(read_file(options.conformance / "conformance.json")).read();
    if (conformance.at("schema_version").num() != 1) throw std::runtime_error("conformance.json: not schema version 1");
    std::printf("ONNX Runtime %s, bundle %s, %d thread(s), %d run(s)\n", OrtGetApiBase()->GetVersionString(),
                conformance.at("bundle").str().c_str(), options.threads, options.runs);
    int ran = 0, failed = 0;
    for (const Json& preparation : conformance.at("preparations").items)
      if (options.only.empty() || preparation.at("name").str() == options.only)
        ++ran, failed += !run_preparation(preparation, options);
    for (const Json& depth_case : conformance.at("cases").items)
      if (options.only.empty() ? is_for_onnxruntime(depth_case) : depth_case.at("name").str() == options.only)
        ++ran, failed += !run_case(env, depth_case, options);
    if (ran == 0) throw std::runtime_error("no such case: " + options.only);
    std::printf("%d of %d passed\n", ran - failed, ran);
    return failed ? 1 : 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "depth: %s\n", error.what());
    return 2;
  }
}
