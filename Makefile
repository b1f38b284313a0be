# SPDX-License-Identifier: Apache-2.0
#
# Everything generated is below build/. `make help` tells the targets.

VERSION := 0.1.0
TOP := $(patsubst %/,%,$(dir $(realpath $(lastword $(MAKEFILE_LIST)))))

PREFIX ?= /usr
SBINDIR ?= /sbin
UNITDIR ?= /lib/systemd/system

# SAN=1: everything of user space under the sanitizers, beside the plain build
ifeq ($(SAN),1)
B := build/san
SAN_FLAGS := -fsanitize=address,undefined -fno-sanitize-recover=undefined \
	-fno-omit-frame-pointer
else
B := build
SAN_FLAGS :=
endif

CC ?= gcc
CXX ?= g++
PKGS := liburing libnl-genl-3.0 inih libcrypto libprotobuf-c raft libuv libxxhash libcurl expat libxml-2.0 jansson
CFLAGS ?= -O2 -g
CXXFLAGS ?= -O2 -g
DATAFS_CFLAGS := -std=gnu11 -DDATAFS_VERSION='"$(VERSION)"' \
	-Wall -Wextra -Werror -pthread -I$(TOP)/proto -I$(TOP)/daemon -I$(TOP)/tests/unit -I$(TOP)/build/proto \
	$(shell pkg-config --cflags $(PKGS)) $(SAN_FLAGS)
# As LevelDB itself is built, whose classes some of ours are derived from.
DATAFS_CXXFLAGS := -std=gnu++17 -fno-rtti -fno-exceptions \
	-Wall -Wextra -Werror -pthread -I$(TOP)/proto -I$(TOP)/daemon -I$(TOP)/tests/unit \
	$(SAN_FLAGS) -fno-sanitize=vptr
LIBS := $(shell pkg-config --libs $(PKGS)) -lleveldb -lstdc++ -lisal -pthread
TEST_LIBS = $(shell pkg-config --libs cmocka)

obj = $(patsubst %,$(B)/obj/%.o,$(basename $(1)))

proto_src := $(patsubst proto/%.proto,build/proto/%.pb-c.c,$(sort $(wildcard proto/*.proto)))
daemon_lib := $(B)/libdatafsd.a
daemon_src := $(sort $(wildcard daemon/*/*.c daemon/*/*.cc)) $(proto_src)
util_main := $(wildcard utils/mount_datafs.c utils/umount_datafs.c utils/datafs.c)
util_lib := $(B)/libdatafsutil.a
util_src := $(filter-out $(util_main),$(sort $(wildcard utils/*.c)))
util_bin := $(patsubst utils/%_datafs.c,$(B)/%.datafs,$(filter %_datafs.c,$(util_main))) \
	$(patsubst utils/%.c,$(B)/%,$(filter-out %_datafs.c,$(util_main)))
test_src := $(sort $(wildcard tests/unit/test_*.c))
test_bin := $(patsubst tests/unit/%.c,$(B)/tests/%,$(test_src))
units := $(notdir $(wildcard systemd/*.service))
cluster_prog := $(patsubst tests/cluster/prog/%.c,$(B)/tests/cluster/%,$(wildcard tests/cluster/prog/*.c)) \
	$(B)/tests/cluster/metad-next $(B)/tests/cluster/wallclock.so
under_prog := $(patsubst tests/under/prog/%.c,$(B)/tests/under/%,$(wildcard tests/under/prog/*.c))
bench_shared := tests/bench/prog/leader.c
bench_prog := $(patsubst tests/bench/prog/%.c,$(B)/tests/bench/%, \
		$(filter-out $(bench_shared),$(wildcard tests/bench/prog/*.c)))
vm_prog := $(patsubst tests/vm/prog/%.c,$(B)/tests/vm/%,$(wildcard tests/vm/prog/*.c))

.PHONY: help all modules daemon utils tests bench unit unit-bin unit-run fuzz clean install
help:
	@echo 'make all       the module, the daemon and the utilities'
	@echo 'make modules   build/kmod-VERSION/datafs.ko'
	@echo '                 KDIR=DIR  of that kernel (default: the running one)'
	@echo '                 OUT=DIR   there instead'
	@echo '                 W=1 C=1   more warnings; sparse'
	@echo 'make daemon    build/datafsd, build/datafs-metad'
	@echo 'make utils     build/mount.datafs, build/datafs'
	@echo 'make tests     build/tests/vm/, what tests/vm runs in a guest, and'
	@echo '               build/tests/cluster/ and build/tests/under/'
	@echo 'make bench     build/tests/bench/, what tests/bench/meta runs'
	@echo 'make unit      run the unit tests under the address and'
	@echo '               undefined-behaviour sanitizers'
	@echo 'make fuzz      fuzz the parsers, each for FUZZ_SECONDS (20), with clang'
	@echo 'make install   all of it, and units of systemd (DESTDIR=, PREFIX=/usr,'
	@echo '               UNITDIR=/lib/systemd/system; KDIR= as above)'
	@echo 'make clean     remove what was built'
	@echo 'SAN=1          daemon and utils under the sanitizers, in build/san/'

all: modules daemon utils

modules:
	+$(MAKE) -C kmod modules $(if $(OUT),OUT=$(abspath $(OUT))) \
		$(if $(KDIR),KDIR=$(abspath $(KDIR)))

daemon: $(B)/datafsd $(B)/datafs-metad
utils: $(util_bin)

$(B)/datafsd: $(call obj,daemon/datafsd.c) $(daemon_lib)
$(B)/%.datafs: $(B)/obj/utils/%_datafs.o $(util_lib) $(daemon_lib)
	$(CC) $(CFLAGS) $(SAN_FLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) \
		$(filter %.a,$^) $(LIBS)
$(B)/datafs-metad: $(call obj,daemon/datafs_metad.c) $(daemon_lib)
$(B)/datafs: $(B)/obj/utils/datafs.o $(util_lib) $(daemon_lib)
$(B)/datafsd $(B)/datafs-metad $(B)/datafs:
	$(CC) $(CFLAGS) $(SAN_FLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) \
		$(filter %.a,$^) $(LIBS)

$(daemon_lib): $(call obj,$(daemon_src))
$(util_lib): $(call obj,$(util_src))
# Made anew: an archive keeps objects whose source is gone.
$(daemon_lib) $(util_lib):
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $^

# Two programs may be linked from the same object; make must not remove it.
.SECONDARY:

# The compiler writes both at once; what it makes is never written into the tree.
build/proto/%.pb-c.c build/proto/%.pb-c.h &: proto/%.proto
	@mkdir -p build/proto
	protoc-c --c_out=build/proto -Iproto $<

$(B)/obj/%.o: %.c Makefile | $(proto_src)
	@mkdir -p $(@D)
	$(CC) $(DATAFS_CFLAGS) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/obj/%.o: %.cc Makefile
	@mkdir -p $(@D)
	$(CXX) $(DATAFS_CXXFLAGS) $(CPPFLAGS) $(CXXFLAGS) -MMD -MP -c -o $@ $<

$(B)/tests/test_metad_memory: LDFLAGS += -Wl,--wrap=malloc,--wrap=calloc
$(B)/tests/test_server_members: LDFLAGS += -Wl,--wrap=statvfs
$(B)/tests/test_server_holder: LDFLAGS += -Wl,--wrap=datafs_conn_call \
	-Wl,--wrap=datafs_touched,--wrap=datafs_member_submit
$(B)/tests/test_server_questions: LDFLAGS += -Wl,--wrap=datafs_member_read \
	-Wl,--wrap=datafs_metad_answer
$(B)/tests/test_loop: LDFLAGS += -Wl,--wrap=io_uring_submit
$(B)/tests/test_wire_deadline: LDFLAGS += -Wl,--wrap=datafs_loop_read
$(B)/tests/test_member_memory: LDFLAGS += -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc \
	-Wl,--wrap=raft_malloc,--wrap=raft_calloc,--wrap=raft_configuration_add
$(B)/tests/test_quorum_local: LDFLAGS += -Wl,--wrap=datafs_env_open,--wrap=datafs_metad_apply
$(B)/tests/test_vfs_quorum: LDFLAGS += -Wl,--wrap=statvfs
$(B)/tests/test_util: LDFLAGS += -Wl,--wrap=fsync
$(B)/tests/test_whole_file: LDFLAGS += -Wl,--wrap=open
$(B)/tests/test_http_try: LDFLAGS += -Wl,--wrap=curl_easy_setopt
$(B)/tests/test_vfs_looks: LDFLAGS += -Wl,--wrap=datafs_under_stat
$(B)/tests/test_cache_disk: LDFLAGS += -Wl,--wrap=datafs_iobuf_rw

# What the tests test_X_*.c share is in X_fixture.c and other X_*.c.
define fixture
$(filter $(B)/tests/test_$(1)_%,$(test_bin)): $(call obj,$(wildcard tests/unit/$(1)_*.c))
endef
$(foreach f,$(wildcard tests/unit/*_fixture.c),$(eval \
	$(call fixture,$(patsubst tests/unit/%_fixture.c,%,$f))))

# A store that is a server.
$(B)/tests/test_vfs_pages $(B)/tests/test_server_listings: $(call obj,tests/unit/http_fixture.c)

# They look at the members' databases.
$(filter $(B)/tests/test_server_%,$(test_bin)): $(call obj,tests/unit/metad_check.c tests/unit/metad_req.c)

# The checker of histories, and the simulation of a quorum, which uses it, and the
# model of a namespace.
$(filter $(B)/tests/test_lin_% $(B)/tests/test_sim_%,$(test_bin)): \
	$(call obj,tests/unit/lin_check.c)
$(filter $(B)/tests/test_sim_%,$(test_bin)): $(call obj,\
	$(filter-out tests/unit/sim_lease_%,$(sort $(wildcard tests/unit/sim_*.c))) \
	$(patsubst %,tests/unit/metad_%.c,check model model_job req))

# ... with leases, in a time of its own: not the messenger's, nor that of threads.
$(B)/tests/test_sim_lease: $(call obj,$(sort $(wildcard tests/unit/sim_lease_*.c)))
comma := ,
sim_lease_wraps := datafs_now datafs_random uv_async_send datafs_loop_post datafs_loop_defer \
	datafs_loop_fail datafs_deadline_set datafs_deadline_clear datafs_pool_add sem_wait sem_post \
	datafs_conn_get datafs_conn_put datafs_conn_who datafs_conn_heard datafs_conn_end \
	datafs_conn_call datafs_call_cancel datafs_conn_reply datafs_remote_open \
	datafs_remote_close datafs_member_read datafs_grants_new datafs_lease_keep
$(B)/tests/test_sim_lease: LDFLAGS += $(addprefix -Wl$(comma)--wrap=,$(sim_lease_wraps))

# A disk that loses power.
$(filter $(B)/tests/test_env_% $(B)/tests/test_sim_% $(B)/tests/test_metad_crash \
	$(B)/tests/test_quorum_local,$(test_bin)): \
	$(call obj,$(sort $(wildcard tests/unit/fault_*.cc)))

$(B)/tests/%: $(B)/obj/tests/unit/%.o $(util_lib) $(daemon_lib)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(SAN_FLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) \
		$(filter %.a,$^) $(TEST_LIBS) $(LIBS)

unit:
	+$(MAKE) --no-print-directory SAN=1 unit-run

fuzz:
	+$(MAKE) --no-print-directory -C tests/fuzz

tests: $(vm_prog) $(cluster_prog) $(under_prog)

# datafs-metad as a version of the next feature level, in which there is nothing new.
next_level := $(shell awk '$$2 == "DATAFS_METAD_LEVEL" && $$3 { print $$3 + 1 }' daemon/metad/ns.h)
next_src := daemon/datafs_metad.c $(shell grep -l DATAFS_METAD_LEVEL daemon/metad/*.c)
next_obj := $(patsubst %.c,$(B)/obj/next/%.o,$(next_src))
$(next_obj): $(B)/obj/next/%.o: %.c Makefile | $(proto_src)
	@mkdir -p $(@D)
	$(CC) $(DATAFS_CFLAGS) -DDATAFS_METAD_LEVEL=$(next_level) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
$(B)/tests/cluster/metad-next: $(next_obj) $(daemon_lib)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(SAN_FLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) \
		$(filter %.a,$^) $(LIBS)

$(B)/tests/cluster/%.so: tests/cluster/preload/%.c Makefile
	@mkdir -p $(@D)
	$(CC) $(DATAFS_CFLAGS) $(CPPFLAGS) $(CFLAGS) -shared -fPIC $(LDFLAGS) -o $@ $<

$(B)/tests/cluster/%: $(B)/obj/tests/cluster/prog/%.o $(daemon_lib)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(SAN_FLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) \
		$(filter %.a,$^) $(LIBS)

# It has a clock, names of hosts and time-outs of its own.
$(B)/tests/under/ask: $(call obj,tests/under/trouble.c)
$(B)/tests/under/ask: LDFLAGS += -Wl,--wrap=curl_easy_setopt,--wrap=clock_gettime \
	-Wl,--wrap=pthread_cond_clockwait,--wrap=clock_nanosleep

$(B)/tests/under/s3 $(B)/tests/under/s3_names: $(call obj,tests/under/bucket.c)

# They check what the unit tests check, of stores that are servers.
$(B)/tests/under/%: $(B)/obj/tests/under/prog/%.o $(call obj,$(wildcard tests/unit/under_conform*.c)) \
		$(daemon_lib)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(SAN_FLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) \
		$(filter %.a,$^) $(TEST_LIBS) $(LIBS)

bench: $(bench_prog)

# It speaks gRPC to etcd; nothing else here needs libnghttp2.
build/proto/etcd.pb-c.c build/proto/etcd.pb-c.h &: tests/bench/prog/etcd.proto
	@mkdir -p build/proto
	protoc-c --c_out=build/proto -Itests/bench/prog $<
$(B)/obj/tests/bench/prog/etcdbench.o: | build/proto/etcd.pb-c.h
$(B)/tests/bench/etcdbench: $(call obj,build/proto/etcd.pb-c.c)
$(B)/tests/bench/etcdbench: bench_libs := $(shell pkg-config --libs libnghttp2 2>/dev/null)

$(B)/tests/bench/metabench: $(call obj,$(bench_shared))
$(B)/tests/bench/%: $(B)/obj/tests/bench/prog/%.o $(daemon_lib)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(SAN_FLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) \
		$(filter %.a,$^) $(LIBS) $(bench_libs)

# It reads what the daemon keeps.
$(B)/tests/vm/steal: $(B)/obj/tests/vm/prog/steal.o $(daemon_lib)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(SAN_FLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

# Those that are more than a file.
$(B)/tests/vm/hostile: $(call obj,$(sort $(wildcard tests/vm/prog/hostile/*.c)))
$(B)/tests/vm/sides: $(call obj,$(sort $(wildcard tests/vm/prog/sides/*.c)))

$(B)/tests/vm/%: $(B)/obj/tests/vm/prog/%.o
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(SAN_FLAGS) $(LDFLAGS) -o $@ $^ -luring -pthread \
		$(shell pkg-config --libs libnl-genl-3.0)

unit-bin: $(test_bin)

# All are run, whatever the first ones say; some of them at a time, for those of servers
# mostly wait.
UNIT_JOBS ?= 3
unit-run: $(test_bin)
	@printf '%s\n' $(test_bin) | xargs -P $(UNIT_JOBS) -I{} sh -c ' \
		out=$$(mktemp) && { {} > $$out 2>&1; status=$$?; }; \
		[ $$status = 0 ] || echo "failed: {}" >> $$out; \
		flock $(B)/unit.lock sh -c "echo == {}; cat $$out"; rm -f $$out; exit $$status'

install: all
	install -D -m 755 build/datafsd $(DESTDIR)$(PREFIX)/sbin/datafsd
	install -D -m 755 build/datafs-metad $(DESTDIR)$(PREFIX)/sbin/datafs-metad
	install -D -m 755 build/datafs $(DESTDIR)$(PREFIX)/bin/datafs
	for b in $(notdir $(filter %.datafs,$(util_bin))); do \
		install -D -m 755 build/$$b $(DESTDIR)$(SBINDIR)/$$b || exit 1; \
	done
	for u in $(units); do \
		sed 's,/usr/sbin/datafs,$(PREFIX)/sbin/datafs,' systemd/$$u | \
		install -D -m 644 /dev/stdin $(DESTDIR)$(UNITDIR)/$$u || exit 1; \
	done
	install -D -m 644 systemd/datafsd@.service.d/cache.conf \
		$(DESTDIR)$(UNITDIR)/datafsd@.service.d/cache.conf
	@# A shutdown wants it without being told: nothing else would start it.
	install -d $(DESTDIR)$(UNITDIR)/shutdown.target.wants
	ln -sf ../datafs-shutdown.service $(DESTDIR)$(UNITDIR)/shutdown.target.wants/
	+$(MAKE) -C kmod modules_install $(if $(OUT),OUT=$(abspath $(OUT))) \
		$(if $(KDIR),KDIR=$(abspath $(KDIR))) INSTALL_MOD_PATH=$(DESTDIR)

clean:
	rm -rf build/kmod-* build/dkms build/san build/fuzz build/obj build/proto build/tests build/*.a \
		build/datafsd build/datafs-metad build/datafs build/mount.datafs build/umount.datafs

-include $(shell [ -d $(B)/obj ] && find $(B)/obj -name '*.d')
