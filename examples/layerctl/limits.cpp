#include "limits.hpp"

#include "text.hpp"

#include <strata/error.hpp>

#include <algorithm>
#include <string_view>

namespace layerctl {

namespace {

constexpr std::string_view suffixes = "KMGT";

/// Sets the limit that "NAME=VALUE" means. Returns what is wrong with it, or nothing.
std::string set(strata::Budget& budget, std::string_view text) {
  const std::size_t equals = std::min(text.find('='), text.size());
  const std::string_view name = text.substr(0, equals);
  const std::string_view value = text.substr(std::min(equals + 1, text.size()));
  const auto limits = strata::budget_limits();
  const auto limit = std::ranges::find(limits, name, &strata::BudgetLimit::name);
  if (limit == limits.end()) return "there is no limit " + strata::quoted(name);
  std::uint64_t number = strata::Budget::unlimited;
  if (value != "none") {
    const bool suffixed = !value.empty() && suffixes.find(value.back()) != suffixes.npos;
    const auto size = parse_size(value);
    if (!size || (suffixed && !limit->bytes))
      return "the limit " + std::string(name) + " is a number" +
             (limit->bytes ? " of bytes (K, M, G and T are powers of 1,024)" : "") + ", or none";
    number = *size;
  }
  budget.*limit->value = number;
  return "";
}

/// A default as it would be given.
std::string written(const strata::BudgetLimit& limit, std::uint64_t number) {
  std::size_t suffix = 0;
  if (limit.bytes)
    for (; suffix < suffixes.size() && number != 0 && number % 1024 == 0; ++suffix) number /= 1024;
  return std::to_string(number) + (suffix == 0 ? "" : std::string(1, suffixes[suffix - 1]));
}

}  // namespace

strata::Budget Limits::budget() const {
  strata::Budget budget;
  for (const std::string& text : given) set(budget, text);
  return budget;
}

void add_size(CLI::App& command, const std::string& name, std::optional<std::uint64_t>& size, const std::string& help) {
  command.add_option(name, size, help + "; also with K, M, G or T")
      ->type_name("SIZE")
      ->transform([name](const std::string& text) {
        const auto bytes = parse_size(text);
        if (!bytes) throw CLI::ValidationError(name, strata::quoted(text) + " is no number of bytes");
        return std::to_string(*bytes);
      });
}

void add_limits(CLI::App& command, Limits& limits) {
  command
      .add_option("--limit", limits.given,
                  "What the layer may use; repeatable. VALUE is a number, of bytes also with K, M, G or T, or none")
      ->type_name("NAME=VALUE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false)
      ->check([](const std::string& text) {
        strata::Budget budget;
        return set(budget, text);
      });
  const strata::Budget defaults;
  std::string names = "Limits, as they are without --limit:";
  for (const strata::BudgetLimit& limit : strata::budget_limits())
    names += "\n  " + std::string(limit.name) + "=" + written(limit, defaults.*limit.value);
  command.footer(names);
}

}  // namespace layerctl
