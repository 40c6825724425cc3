// Shows how far an import is, and stops it when it takes too long: watch STORE LAYER MILLISECONDS
#include <strata/strata.hpp>

#include <chrono>
#include <condition_variable>
#include <iostream>
#include <mutex>
#include <thread>

void import_in_time(strata::LayerStore<>& store, const char* file, std::chrono::milliseconds time) {
  std::stop_source stop;
  std::jthread clock([&](const std::stop_token& done) {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any().wait_for(lock, done, time, [] { return false; });
    stop.request_stop();
  });
  try {
    const auto show = [](const strata::Progress& progress) {
      std::cout << progress.bytes << " of " << progress.total_bytes << " bytes\n";
    };
    store.import(strata::open_file(file), {.control = {.observer = show, .stop = stop.get_token()}});
  } catch (const strata::Error& error) {
    if (error.code() != strata::errc::cancelled) throw;
    std::cout << "took too long; the store is as it was\n";
  }
}

int main(int, char** argv) {
  strata::LayerStore<> store{argv[1]};
  import_in_time(store, argv[2], std::chrono::milliseconds(std::stoi(argv[3])));
}
