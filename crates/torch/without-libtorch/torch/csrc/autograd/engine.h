// The first header torch-sys includes. The compiler reaches this one only when libtorch has none.
#error "libtorch 2.13.0 is not set up: run scripts/setup once, then build again"
