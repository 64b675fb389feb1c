# libqint8: GNU make, one C11 compiler, nothing else.
#   make            build/libqint8.a, build/libqint8.so*, build/qint8
#   make test       every test that needs no more than a compiler      make demo    quantize a MobileNetV3 on real images
#   make test-models MODELS=dir   the same, and on the full model set
#   make test-onnx ONNX_DATA=dir ONNX_ARGS=   the ONNX backend tests alone (Debian: libonnx-testdata)
#   make bench      kernel and operator timings                        make install DESTDIR= PREFIX=
#   make bench-peers ORT=dir ARGS=   kernels beside oneDNN, XNNPACK and ONNX Runtime (dir/node_modules/onnxruntime-node)
# Variables: CC, CFLAGS, OPENMP=1, BUILD=dir, MODELS=dir (full model set), CROSS=aarch64-linux-gnu- with RUN="qemu-aarch64 -L /usr/aarch64-linux-gnu".

VERSION := $(shell sed -n 's/^\#define QINT8_VERSION_STRING "\(.*\)"/\1/p' include/qint8.h)
SOVERSION := 1
BUILD ?= build
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
ifeq ($(origin CC),default)
CC := $(CROSS)gcc
endif
AR ?= ar
CFLAGS ?= -O2 -g
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes
STD := -std=c11 -ffp-contract=off -fno-math-errno -fno-trapping-math -fvisibility=hidden -fno-asynchronous-unwind-tables -fPIC -D_POSIX_C_SOURCE=200809L
LDLIBS := -lm
ifdef WERROR
WARNINGS += -Werror
endif
ifdef OPENMP
STD += -fopenmp
LDLIBS += -fopenmp
endif

comma := ,
# The target decides which ISA folders get their flags; a folder without flags compiles to an empty table.
TARGET := $(shell $(CC) -dumpmachine)
ifneq ($(filter x86_64% amd64%,$(TARGET)),)
FLAGS_avx2 := -mavx2 -mfma
FLAGS_avxvnni := -mavx2 -mfma -mavxvnni
FLAGS_avx512bw := -mavx2 -mfma -mavx512f -mavx512bw -mavx512dq -mavx512vl
FLAGS_avx512vnni := $(FLAGS_avx512bw) -mavx512vnni
FLAGS_avx512vbmi := $(FLAGS_avx512vnni) -mavx512vbmi
else ifneq ($(filter aarch64% arm64%,$(TARGET)),)
FLAGS_neondot := -march=armv8.2-a+dotprod
FLAGS_neoni8mm := -march=armv8.2-a+dotprod+i8mm
endif
# A compiler that does not know a folder's flags builds the folder empty, and says so.
supports = $(shell $(CC) $(1) -x c -c -o /dev/null /dev/null 2>/dev/null && echo $(filter-out -Werror,$(1)))
$(foreach isa,avx2 avxvnni avx512bw avx512vnni avx512vbmi neondot neoni8mm,$(if $(FLAGS_$(isa)),$(if $(call supports,$(FLAGS_$(isa))),,\
  $(warning $(CC) does not know $(FLAGS_$(isa)): no $(isa) kernels) $(eval FLAGS_$(isa) :=))))

INCLUDES := -Iinclude -Ikernels -Ilib
LIB_SRC := $(wildcard lib/*/*.c) $(wildcard kernels/*.c) $(wildcard kernels/*/*.c)
LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/obj/%.o)
TOOL_SRC := $(wildcard examples/qint8/*.c)
TOOL_OBJ := $(TOOL_SRC:%.c=$(BUILD)/obj/%.o)
EXAMPLES := $(patsubst examples/%.c,$(BUILD)/examples/%,$(wildcard examples/*.c))
SUPPORT_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/support/*.c))
ONNX_NODES := $(BUILD)/tests/oracle/onnx_nodes/test_onnx_nodes
TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/*/test_*.c)) $(ONNX_NODES)
BENCHES := $(patsubst %.c,$(BUILD)/%,$(wildcard bench/bench_*.c))
PEER_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard bench/peers/*.c))
PEER_LIBS = $(foreach l,dnnl XNNPACK,$(shell echo 'int main(void){return 0;}' | $(CC) -x c - -o /dev/null -l$(l) 2>/dev/null && echo -l$(l)))

# What does not loop over elements is compiled for size: it runs while a model is loaded, planned or written, or once per
# node. Loop invariants kept in registers would only push others out of them there.
HOT := base/element base/math quant/loops ptq/loops \
  $(addprefix nn/,conv_rows depthwise depthwise_pack linear_fill_float linear_row linear_run) \
  $(addprefix ops/,binary_rows norm pool_rows reduce_rows resize_rows softmax_rows unary_rows)
COLD := $(filter-out $(HOT:%=lib/%.c),$(wildcard lib/*/*.c))
SMALLER := -Oz -fno-move-loop-invariants -fno-tree-loop-im -fno-tree-loop-optimize -fno-expensive-optimizations -fno-optimize-sibling-calls \
  -fno-tree-dominator-opts -fno-ira-hoist-pressure -fno-shrink-wrap -fno-tree-tail-merge -ftree-slp-vectorize -malign-data=abi
SMALL := $(if $(filter -O2 -O3,$(CFLAGS)),-Os $(foreach f,$(SMALLER),$(call supports,-Werror $(f))))
# The rest: loops are aligned, what is jumped to seldom is not.
TIGHT := $(if $(filter -O2 -O3,$(CFLAGS)),$(foreach f,-falign-functions=1 -fno-align-jumps -fno-align-labels,$(call supports,-Werror $(f))))

# Kernels on x86: a jump that ends at the end of 32 bytes of code would keep them out of the cache of decoded instructions on
# many Intel cores, and where code lies changes with every build (up to 1.7 times in short loops, for 1 % of size).
JUMPS := $(firstword $(foreach f,-Wa$(comma)-mbranches -mbranches,$(call supports,-Werror $(f)-within-32B-boundaries)))

# Kernels on x86 whose time is not in short loops are compiled for size, as fast; functions of float rows are written as they are
# to run, and copies of their loops only make them larger.
EVEN := $(addprefix avx2/,eltwise pack) $(addprefix avx512bw/,pack tiles transpose) avx512vnni/dwconv_pack
FEWER := $(if $(TIGHT),$(foreach f,-fno-gcse -fno-tree-pre,$(call supports,-Werror $(f))))
SIZED = $(if $(TIGHT),$(if $(filter $(1),$(EVEN)),-Os) $(if $(filter avx%/srows,$(1)),$(FEWER)))

# Of the library's loops, those that are to be inlined say so (3 KB); kernels are left alone.
CALM := $(if $(TIGHT),$(call supports,-Werror -fno-inline-functions))

STATIC := $(BUILD)/libqint8.a
SHARED := $(BUILD)/libqint8.so.$(VERSION)
SONAME := libqint8.so.$(SOVERSION)
# The sanitizers' runtime is linked into programs only.
NO_UNDEFINED := $(if $(findstring -fsanitize,$(CFLAGS)),,-Wl,--no-undefined)
# Relocations of the operators' records, packed where linker and C library know how, save 50 KB.
links = $(shell echo 'int x; int *y = &x;' | $(CC) -shared -fPIC -x c - -o /dev/null $(1) 2>/dev/null && echo $(1))
PACKED := $(foreach f,-Wl$(comma)-z$(comma)pack-relative-relocs -Wl$(comma)-z$(comma)noseparate-code,$(call links,$(f)))

.PHONY: all lib tool tests examples test test-models test-onnx demo bench bench-models bench-peers accuracy install uninstall clean format FORCE
all: lib tool examples
lib: $(STATIC) $(BUILD)/libqint8.so $(BUILD)/libqint8.pc
tool: $(BUILD)/qint8
examples: $(EXAMPLES)
tests: $(TESTS)

$(BUILD)/obj/kernels/%.o: kernels/%.c Makefile
	@mkdir -p $(@D)
	$(CC) $(STD) $(WARNINGS) $(CFLAGS) $(TIGHT) $(call SIZED,$*) $(JUMPS) $(FLAGS_$(firstword $(subst /, ,$*))) -Ikernels -MMD -MP -c $< -o $@
$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(STD) $(WARNINGS) $(CFLAGS) $(if $(filter $<,$(COLD)),$(SMALL),$(TIGHT) $(CALM)) $(INCLUDES) $(if $(filter tests/%,$<),-Itests/support) -MMD -MP -c $< -o $@
# The tool and the examples see the public headers only.
$(BUILD)/obj/examples/%.o: examples/%.c Makefile
	@mkdir -p $(@D)
	$(CC) $(filter-out -fvisibility=hidden,$(STD)) $(WARNINGS) $(CFLAGS) -Iinclude -MMD -MP -c $< -o $@

$(STATIC): $(LIB_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^
$(SHARED): $(LIB_OBJ) lib/api/qint8.map
	$(CC) -shared $(CFLAGS) -Wl,-Bsymbolic-functions -Wl,-soname,$(SONAME) -Wl,--version-script=lib/api/qint8.map $(NO_UNDEFINED) $(PACKED) -o $@ $(LIB_OBJ) $(LDLIBS)
$(BUILD)/$(SONAME): $(SHARED)
	ln -sf $(notdir $<) $@
$(BUILD)/libqint8.so: $(BUILD)/$(SONAME)
	ln -sf $(notdir $<) $@
# Made anew each time: it depends on PREFIX, which `make install` may be given after `make`.
$(BUILD)/libqint8.pc: pkgconfig/libqint8.pc.in FORCE
	sed -e 's|@PREFIX@|$(PREFIX)|;s|@LIBDIR@|$(LIBDIR)|;s|@VERSION@|$(VERSION)|;s|@LIBS_PRIVATE@|$(LDLIBS)|' $< > $@
$(BUILD)/qint8: $(TOOL_OBJ) $(STATIC)
	$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)
$(BUILD)/examples/%: $(BUILD)/obj/examples/%.o $(STATIC)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)
$(ONNX_NODES): $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/oracle/onnx_nodes/*.c)) $(STATIC)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)
$(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(SUPPORT_OBJ) $(STATIC)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS) -lpthread
$(PEER_OBJ): CFLAGS += -Ibench
$(BUILD)/bench/peers/peers: $(PEER_OBJ) $(STATIC)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $^ $(PEER_LIBS) $(LDLIBS)
# Reads models and samples as the tool does.
$(BUILD)/bench/bench_calibration: $(BUILD)/obj/bench/bench_calibration.o $(filter-out %/main.o,$(TOOL_OBJ)) $(STATIC)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)
$(BUILD)/bench/%: $(BUILD)/obj/bench/%.o $(STATIC)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

test-models:
	@test -d "$(MODELS)/models" || { echo "test-models: no folder \"$(MODELS)/models\"; give MODELS=dir"; exit 1; }
	@$(MAKE) test
test: all tests
	@BUILD=$(BUILD) MODELS="$(MODELS)" ONNX_DATA="$(ONNX_DATA)" RUN="$(RUN)" CC="$(CC)" sh tests/run.sh $(TESTS)
test-onnx: $(ONNX_NODES)
	@ONNX_DATA="$(ONNX_DATA)" $(RUN) $< $(ONNX_ARGS)
demo: tool
	@BUILD=$(BUILD) sh examples/demo.sh
bench-models: tool
	@BUILD=$(BUILD) sh bench/models/networks.sh
	@if [ -n "$(MODELS)" ]; then BUILD=$(BUILD) MODELS="$(MODELS)" sh bench/models.sh; fi
accuracy: tool $(BUILD)/bench/bench_calibration
	@BUILD=$(BUILD) MODELS="$(MODELS)" sh bench/accuracy.sh $(ARGS)
bench-peers: $(BUILD)/bench/peers/peers
	$(if $(ORT),ORT=$(ORT)) $< $(ARGS)
bench: $(BENCHES)
	@for b in $(BENCHES); do $(RUN) $$b || exit 1; done

install: lib tool
	install -d $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(PREFIX)/bin
	install -m 644 include/qint8.h include/qint8_experimental.h $(DESTDIR)$(PREFIX)/include/
	install -m 644 $(STATIC) $(DESTDIR)$(LIBDIR)/
	install -m 755 $(SHARED) $(DESTDIR)$(LIBDIR)/
	ln -sf $(notdir $(SHARED)) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libqint8.so
	install -m 644 $(BUILD)/libqint8.pc $(DESTDIR)$(LIBDIR)/pkgconfig/
	install -m 755 $(BUILD)/qint8 $(DESTDIR)$(PREFIX)/bin/
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/include/qint8.h $(DESTDIR)$(PREFIX)/include/qint8_experimental.h
	rm -f $(DESTDIR)$(LIBDIR)/libqint8.a $(DESTDIR)$(LIBDIR)/libqint8.so* $(DESTDIR)$(LIBDIR)/pkgconfig/libqint8.pc
	rm -f $(DESTDIR)$(PREFIX)/bin/qint8
FORCE:
clean:
	rm -rf $(BUILD)
format:
	clang-format -i include/*.h kernels/*.[ch] kernels/*/*.[ch] lib/*/*.[ch] tests/*/*.[ch] examples/*.c examples/qint8/*.[ch] bench/*.[ch]

-include $(shell test -d $(BUILD) && find $(BUILD)/obj -name '*.d' 2>/dev/null)
.SECONDARY:
