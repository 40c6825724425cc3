// The parts of diagnose(). Each adds what it finds.
#pragma once

#include <strata/diagnose.hpp>

#include <string>
#include <vector>

namespace strata::detail {

/// Collects the findings of one topic.
class Topic {
 public:
  Topic(std::vector<Finding>& findings, std::string name) : findings_(findings), name_(std::move(name)) {}

  void good(std::string name, std::string value) { add(Finding::Verdict::good, std::move(name), std::move(value), {}); }
  void limited(std::string name, std::string value, std::string remedy) {
    add(Finding::Verdict::limited, std::move(name), std::move(value), std::move(remedy));
  }
  void bad(std::string name, std::string value, std::string remedy) {
    add(Finding::Verdict::bad, std::move(name), std::move(value), std::move(remedy));
  }
  /// "yes", or "no" with what it means.
  void good_or_limited(bool found, std::string name, std::string remedy) {
    found ? good(std::move(name), "yes") : limited(std::move(name), "no", std::move(remedy));
  }

 private:
  void add(Finding::Verdict verdict, std::string name, std::string value, std::string remedy) {
    findings_.push_back({verdict, name_, std::move(name), std::move(value), std::move(remedy)});
  }
  std::vector<Finding>& findings_;
  std::string name_;
};

void diagnose_kernel(std::vector<Finding>& findings);
void diagnose_user(std::vector<Finding>& findings);
void diagnose_helpers(std::vector<Finding>& findings);
void diagnose_filesystem(std::vector<Finding>& findings, const boost::filesystem::path& directory);

}  // namespace strata::detail
