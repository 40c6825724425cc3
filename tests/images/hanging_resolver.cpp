// For LD_PRELOAD: a resolver that doesn't come back for one name.
#include <dlfcn.h>
#include <netdb.h>

#include <chrono>
#include <cstring>
#include <thread>

extern "C" __attribute__((visibility("default"))) int getaddrinfo(const char* name, const char* service,
                                                                  const addrinfo* hints, addrinfo** result) {
  if (name != nullptr && std::strcmp(name, "hangs.test") == 0) std::this_thread::sleep_for(std::chrono::seconds(20));
  const auto next = reinterpret_cast<decltype(&::getaddrinfo)>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  return next(name, service, hints, result);
}
