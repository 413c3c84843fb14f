# ONNX protobuf reader generated from the installed schema.
find_path(ONNX_PROTO_DIR onnx/onnx.proto REQUIRED)
find_program(PROTOC_C protoc-c REQUIRED)
set(generated ${CMAKE_BINARY_DIR}/generated)
file(MAKE_DIRECTORY ${generated}/onnx)
add_custom_command(
  OUTPUT ${generated}/onnx/onnx.pb-c.c ${generated}/onnx/onnx.pb-c.h
  COMMAND ${PROTOC_C} --c_out=${generated} --proto_path=${ONNX_PROTO_DIR} onnx/onnx.proto
  DEPENDS ${ONNX_PROTO_DIR}/onnx/onnx.proto VERBATIM)
set_source_files_properties(${generated}/onnx/onnx.pb-c.c PROPERTIES COMPILE_OPTIONS "-w")
target_sources(mica_frontends PRIVATE ${generated}/onnx/onnx.pb-c.c ${generated}/onnx/onnx.pb-c.h)
