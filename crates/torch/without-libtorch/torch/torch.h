// The first header that torch-sys includes. The compiler reaches this one only when LIBTORCH has none.
#error "libtorch is missing: run scripts/setup once, then build again"
// Nothing else in the file can compile now: stop here, so that the sentence above is what people see.
#include <run-scripts/setup>
