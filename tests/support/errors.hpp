// What a call threw, told by its code.
#pragma once

#include <strata/error.hpp>

#include <functional>

namespace strata::test {

/// Whether `work` throws an Error of this code. Another error comes out of here.
inline bool fails_with(errc code, const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    if (error.code() == code) return true;
    throw;
  }
  return false;
}

}  // namespace strata::test
