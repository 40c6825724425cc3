// A plan of the kernel's overlay in a directory of one test: two lowers, an upper, all empty.
#pragma once

#include <strata/mount/kernel_overlay.hpp>

#include "support/mount_files.hpp"

namespace strata::test {

struct OverlayPlan {
  Scratch scratch;
  KernelOverlay backend;
  MountPlan plan;

  OverlayPlan() {
    plan.form = private_namespace().user ? UnionForm::overlay_user : UnionForm::overlay_trusted;
    plan.lowers = {scratch.directory("l1"), scratch.directory("l2")};
    plan.upper = scratch.directory("upper");
    plan.work = scratch.directory("work");
    plan.target = scratch.directory("merged");
  }
};

}  // namespace strata::test
