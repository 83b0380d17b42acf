package codec

// Compress is compress, for the benchmark.
var Compress = compress
