// ACLs as text, and as the kernel's xattr: what is taken from either is the same after it went through the other.
#include "tar/acl.hpp"
#include "fuzz/fuzz.hpp"

using namespace strata;
using namespace strata::detail;
using namespace strata::test;

namespace {

const AclNames names{"joe", 1000, "staff", 50};

/// A value that acl_from_text() made.
void check_value(const std::string& value) {
  const auto text = acl_to_text(value);
  require(text.has_value());
  std::string why;
  require(acl_from_text(*text, {}, why) == value, *text);
  require(acl_mode(value) <= 0777);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  std::string why;
  if (const auto value = acl_from_text(input, names, why)) {
    require(why.empty(), why);
    check_value(*value);
  } else {
    require(!why.empty());
  }
  if (const auto text = acl_to_text(input)) {
    require(acl_mode(input) <= 0777);
    // A value may lack entries; one that is complete is the text's, but for the order of its entries.
    why.clear();
    const auto value = acl_from_text(*text, {}, why);
    require(value || !why.empty(), *text);
    if (value) {
      require(value->size() == input.size(), *text);
      check_value(*value);
    }
  }
  return 0;
}
