#include "quant/recipe.h"

#include <string.h>

q8_status q8_recipe_new(const q8_host *host, size_t tensor_count, size_t node_count, q8_recipe **out,
                        qint8_error *error) {
  *out = NULL;
  q8_recipe *recipe = q8_new(host, sizeof(*recipe), "recipe", error);
  if (!recipe)
    return QINT8_ERROR_MEMORY;
  atomic_init(&recipe->holders, 1);
  recipe->activation_dtype = QINT8_DTYPE_U8;
  recipe->tensor_count = tensor_count;
  recipe->node_count = node_count;
  recipe->tensor_name = q8_pool_alloc(&recipe->pool, tensor_count, sizeof(*recipe->tensor_name));
  recipe->tensors = q8_pool_alloc(&recipe->pool, tensor_count, sizeof(*recipe->tensors));
  recipe->rounds = q8_pool_alloc(&recipe->pool, tensor_count, sizeof(*recipe->rounds));
  recipe->modes = q8_pool_alloc(&recipe->pool, node_count, sizeof(*recipe->modes));
  recipe->node_output = q8_pool_alloc(&recipe->pool, node_count, sizeof(*recipe->node_output));
  q8_status status = q8_pool_check(&recipe->pool, "recipe", error);
  if (status != QINT8_OK) {
    q8_recipe_free(recipe);
    return status;
  }
  for (size_t i = 0; i < tensor_count; i++)
    recipe->tensors[i].axis = -1;
  for (size_t i = 0; i < node_count; i++)
    recipe->node_output[i] = -1;
  *out = recipe;
  return QINT8_OK;
}

void q8_recipe_free(q8_recipe *recipe) {
  if (recipe && atomic_fetch_sub(&recipe->holders, 1) == 1)
    q8_pool_delete(recipe);
}

q8_status q8_recipe_set_name(q8_recipe *recipe, int32_t tensor, const char *name, qint8_error *error) {
  recipe->tensor_name[tensor] = q8_pool_string(&recipe->pool, name, strlen(name));
  return q8_pool_check(&recipe->pool, name, error);
}

q8_recipe *q8_recipe_share(q8_recipe *recipe) {
  atomic_fetch_add(&recipe->holders, 1);
  return recipe;
}

q8_status q8_recipe_own(q8_recipe **recipe, qint8_error *error) {
  if (atomic_load(&(*recipe)->holders) == 1)
    return QINT8_OK;
  q8_recipe *copy;
  Q8_TRY(q8_recipe_copy(*recipe, &copy, error));
  q8_recipe_free(*recipe);
  *recipe = copy;
  return QINT8_OK;
}

static q8_status copy_into(const q8_recipe *from, q8_recipe *to, qint8_error *error) {
  to->config = from->config;
  to->activation_dtype = from->activation_dtype;
  to->kept_float = from->kept_float;
  to->head = from->head;
  for (size_t i = 0; i < from->node_count; i++) {
    to->modes[i] = from->modes[i];
    to->node_output[i] = from->node_output[i];
  }
  for (size_t i = 0; i < from->tensor_count; i++) {
    const q8_tensor_quant *quant = &from->tensors[i];
    to->rounds[i] = from->rounds[i];
    if (from->tensor_name[i])
      Q8_TRY(q8_recipe_set_name(to, (int32_t)i, from->tensor_name[i], error));
    if (q8_is_quantized(quant))
      Q8_TRY(q8_recipe_assign(to, (int32_t)i, quant->dtype, quant->axis, quant->count, quant->scale,
                              quant->zero_point, error));
    if (quant->integers)
      Q8_TRY(q8_recipe_keep_integers(to, (int32_t)i, quant->integers, quant->integer_count, error));
  }
  return QINT8_OK;
}

q8_status q8_recipe_copy(const q8_recipe *recipe, q8_recipe **out, qint8_error *error) {
  Q8_TRY(q8_recipe_new(&recipe->pool.host, recipe->tensor_count, recipe->node_count, out, error));
  q8_status status = copy_into(recipe, *out, error);
  if (status != QINT8_OK) {
    q8_recipe_free(*out);
    *out = NULL;
  }
  return status;
}

q8_status q8_recipe_assign(q8_recipe *recipe, int32_t tensor, int32_t dtype, int32_t axis, int32_t count,
                           const float *scale, const int32_t *zero_point, qint8_error *error) {
  q8_tensor_quant *quant = &recipe->tensors[tensor];
  size_t n = (size_t)count;
  if (quant->count < count) { /* else the old arrays serve again: overriding many times costs nothing */
    float *new_scale = q8_pool_alloc(&recipe->pool, n, sizeof(float));
    int32_t *new_zero = q8_pool_alloc(&recipe->pool, n, sizeof(int32_t));
    Q8_TRY(q8_pool_check(&recipe->pool, recipe->tensor_name[tensor], error));
    quant->scale = new_scale;
    quant->zero_point = new_zero;
  }
  memmove(quant->scale, scale, n * sizeof(float));
  memmove(quant->zero_point, zero_point, n * sizeof(int32_t));
  quant->dtype = dtype;
  quant->axis = axis;
  quant->count = count;
  quant->integers = NULL;
  return QINT8_OK;
}

q8_status q8_recipe_keep_integers(q8_recipe *recipe, int32_t tensor, const int32_t *integers, size_t count,
                                  qint8_error *error) {
  int32_t *copy = q8_pool_alloc(&recipe->pool, count + 1, sizeof *copy);
  Q8_TRY(q8_pool_check(&recipe->pool, recipe->tensor_name[tensor], error));
  memcpy(copy, integers, count * sizeof *copy);
  recipe->tensors[tensor].integers = copy;
  recipe->tensors[tensor].integer_count = count;
  return QINT8_OK;
}

int32_t q8_recipe_find(const q8_recipe *recipe, const char *name) {
  for (size_t i = 0; i < recipe->tensor_count; i++)
    if (recipe->tensor_name[i] && strcmp(recipe->tensor_name[i], name) == 0)
      return (int32_t)i;
  return -1;
}
