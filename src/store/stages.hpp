// Progress of work that has several stages, each of which counts from 0: the counters that a host sees only grow.
#pragma once

#include <strata/progress.hpp>

#include <memory>

namespace strata::detail {

class Stages {
 public:
  explicit Stages(const Control& control) : control_(control), sum_(std::make_shared<Sum>()) {}

  /// For the next stage. One that is begun without it shows where a counter falls.
  Control next() const {
    sum_->begin();
    if (!control_.observer) return control_;
    return {[observer = control_.observer, sum = sum_](const Progress& now) {
              const Progress& last = sum->last;
              if (now.bytes < last.bytes || now.entries < last.entries || now.tar_bytes < last.tar_bytes) sum->begin();
              sum->last = now;
              observer({.phase = now.phase,
                        .bytes = sum->before.bytes + now.bytes,
                        .tar_bytes = sum->before.tar_bytes + now.tar_bytes,
                        .entries = sum->before.entries + now.entries});
            },
            control_.stop};
  }

 private:
  struct Sum {
    Progress before, last;
    void begin() {
      before.bytes += last.bytes;
      before.entries += last.entries;
      before.tar_bytes += last.tar_bytes;
      last = {};
    }
  };
  const Control control_;
  const std::shared_ptr<Sum> sum_;
};

}  // namespace strata::detail
