/* export_tensor.c - TensorProto and ValueInfoProto. */
#include <string.h>

#include "onnx/exporter.h"

/* Raw data is little-endian whatever the host is. */
static void write_raw(q8_exporter *exporter, const q8_out_data *data, size_t count) {
  size_t size = qint8_dtype_size((qint8_dtype)data->dtype);
  const uint16_t probe = 1;
  uint8_t first;
  memcpy(&first, &probe, 1);
  if (first == 1 || size == 1 || exporter->writer.failed) {
    q8_write_bytes(&exporter->writer, Q8_TENSOR_RAW, data->data, count * size);
    return;
  }
  uint8_t *swapped = q8_alloc(&exporter->pool.host, count ? count : 1, size);
  if (!swapped) {
    exporter->writer.failed = 1;
    return;
  }
  for (size_t i = 0; i < count * size; i++)
    swapped[i] = ((const uint8_t *)data->data)[i / size * size + size - 1 - i % size];
  q8_write_bytes(&exporter->writer, Q8_TENSOR_RAW, swapped, count * size);
  q8_free(&exporter->pool.host, swapped);
}

void q8_export_tensor_proto(q8_exporter *exporter, uint32_t number, const char *name, const q8_out_data *data) {
  q8_writer *w = &exporter->writer;
  size_t mark = q8_write_begin(w, number), count = 1;
  for (int32_t i = 0; i < data->rank; i++) {
    q8_write_varint(w, Q8_TENSOR_DIMS, (uint64_t)data->dims[i]);
    count *= (size_t)data->dims[i];
  }
  q8_write_varint(w, Q8_TENSOR_TYPE, (uint64_t)data->dtype);
  if (name)
    q8_write_string(w, Q8_TENSOR_NAME, name);
  write_raw(exporter, data, count);
  q8_write_end(w, mark);
}

void q8_export_value(q8_exporter *exporter, uint32_t number, const q8_tensor *tensor) {
  q8_writer *w = &exporter->writer;
  size_t value = q8_write_begin(w, number);
  q8_write_string(w, Q8_INFO_NAME, tensor->name);
  size_t type = q8_write_begin(w, Q8_INFO_TYPE), tensor_type = q8_write_begin(w, Q8_VALUE_TENSOR);
  q8_write_varint(w, Q8_TENSOR_TYPE_ELEMENT, (uint64_t)(tensor->dtype ? tensor->dtype : QINT8_DTYPE_F32));
  if (tensor->shape.rank >= 0) {
    size_t shape = q8_write_begin(w, Q8_TENSOR_TYPE_SHAPE);
    for (int32_t i = 0; i < tensor->shape.rank; i++) {
      size_t dim = q8_write_begin(w, Q8_SHAPE_DIM);
      if (tensor->shape.dim[i] >= 0)
        q8_write_varint(w, Q8_DIM_VALUE, (uint64_t)tensor->shape.dim[i]);
      else if (tensor->dim_names && tensor->dim_names[i])
        q8_write_string(w, Q8_DIM_SYMBOL, tensor->dim_names[i]);
      q8_write_end(w, dim);
    }
    q8_write_end(w, shape);
  }
  q8_write_end(w, tensor_type);
  q8_write_end(w, type);
  q8_write_end(w, value);
}
