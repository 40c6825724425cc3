// Running another program.
#pragma once

#include <chrono>
#include <stop_token>
#include <string>
#include <vector>

namespace strata::detail {

struct ProgramResult {
  int status = 0;  ///< its exit status; 128 and the number of the signal that ended it; -1: the host takes its children
  std::string said;  ///< what it wrote to its standard output and error, the first 4,096 bytes
};

/// Runs a program, found in PATH, and waits for it, not for what it leaves in the background. It inherits no descriptor
/// but `kept`, under their numbers. Throws Error where it can't be started, errc::not_found where there is none.
ProgramResult run_program(const std::vector<std::string>& arguments, const std::vector<int>& kept);

/// Runs a program that answers a question, which it reads from its standard input: `said` is what it wrote to its
/// standard output, the first 64 KiB; its errors go nowhere. One that takes longer than `time` is killed
/// (errc::limit_exceeded), as when the stop token comes (errc::cancelled); what it started itself is not.
ProgramResult ask_program(const std::vector<std::string>& arguments, const std::string& question,
                          std::chrono::milliseconds time, const std::stop_token& stop);

/// Where PATH has it; empty: nowhere.
std::string find_program(const std::string& name);

}  // namespace strata::detail
