// All of strata.
#pragma once

#include <strata/apply.hpp>
#include <strata/budget.hpp>
#include <strata/byte_stream.hpp>
#include <strata/compression.hpp>
#include <strata/concepts.hpp>
#include <strata/container.hpp>
#include <strata/diagnose.hpp>
#include <strata/diff_writer.hpp>
#include <strata/digest.hpp>
#include <strata/error.hpp>
#include <strata/explain.hpp>
#include <strata/file_descriptor.hpp>
#include <strata/hash.hpp>
#include <strata/id_map.hpp>
#include <strata/layer.hpp>
#include <strata/layer_store.hpp>
#include <strata/lint.hpp>
#include <strata/mount/kernel_overlay.hpp>
#include <strata/mount_plan.hpp>
#include <strata/mounter.hpp>
#include <strata/progress.hpp>
#include <strata/report.hpp>
#include <strata/tar.hpp>
#include <strata/version.hpp>
#include <strata/whiteout.hpp>
