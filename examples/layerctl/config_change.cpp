#include "config_change.hpp"

#include <strata/error.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace layerctl {

namespace {

constexpr std::string_view blanks = " \t\r\n";

[[noreturn]] void refuse(std::string_view line, const std::string& why) {
  strata::throw_error(strata::errc::bad_argument, "change the config by", strata::quoted(line), why);
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = std::min(text.find_first_not_of(blanks), text.size());
  return text.substr(begin, text.find_last_not_of(blanks) + 1 - begin);
}

/// Words as a Dockerfile has them: quotes hold blanks together, a backslash takes the next character as it is (within
/// double quotes only \" and \\).
std::vector<std::string> words(std::string_view line, std::string_view text) {
  std::vector<std::string> all;
  bool in_word = false;
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool last = i + 1 == text.size();
    if (quote == 0 && blanks.find(c) != blanks.npos) {
      in_word = false;
      continue;
    }
    if (!std::exchange(in_word, true)) all.emplace_back();
    if (c == '\\' && quote != '\'' && !last && (quote == 0 || text[i + 1] == '"' || text[i + 1] == '\\'))
      all.back() += text[++i];
    else if (quote == 0 && (c == '"' || c == '\''))
      quote = c;
    else if (quote != 0 && c == quote)
      quote = 0;
    else
      all.back() += c;
  }
  if (quote != 0) refuse(line, "a quote isn't closed");
  return all;
}

/// ["a", "b"], where the text is that.
std::optional<std::vector<std::string>> json_words(std::string_view text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_array()) return std::nullopt;
  std::vector<std::string> all;
  for (const auto& word : json) {
    if (!word.is_string()) return std::nullopt;
    all.push_back(word.get<std::string>());
  }
  return all;
}

/// The words of a JSON list, else a line for the shell.
std::vector<std::string> command_of(std::string_view text) {
  if (auto list = json_words(text)) return *std::move(list);
  return {"/bin/sh", "-c", std::string(text)};
}

std::vector<std::string> list_of(std::string_view line, std::string_view text) {
  if (auto list = json_words(text)) return *std::move(list);
  return words(line, text);
}

/// NAME=VALUE, several of them, or one as NAME VALUE.
std::vector<std::pair<std::string, std::string>> assignments(std::string_view line, std::string_view text) {
  std::vector<std::pair<std::string, std::string>> all;
  const auto parts = words(line, text);
  if (!parts.empty() && parts.front().find('=') == std::string::npos) {
    const std::size_t end = text.find_first_of(blanks);
    if (end == text.npos) refuse(line, "there is no value");
    return {{std::string(text.substr(0, end)), std::string(trimmed(text.substr(end)))}};
  }
  for (const std::string& part : parts) {
    const std::size_t equals = part.find('=');
    if (equals == std::string::npos || equals == 0) refuse(line, strata::quoted(part) + " is not NAME=VALUE");
    all.emplace_back(part.substr(0, equals), part.substr(equals + 1));
  }
  return all;
}

void set_env(std::vector<std::string>& env, const std::string& name, const std::string& value) {
  const auto at = std::ranges::find_if(env, [&](const std::string& one) { return one.starts_with(name + '='); });
  if (at == env.end())
    env.push_back(name + '=' + value);
  else
    *at = name + '=' + value;
}

void insert_sorted(std::vector<std::string>& list, std::string value) {
  const auto at = std::ranges::lower_bound(list, value);
  if (at == list.end() || *at != value) list.insert(at, std::move(value));
}

/// "80", "80/udp", "8000-8010"
std::vector<std::string> ports(std::string_view line, std::string_view text) {
  const std::size_t slash = std::min(text.find('/'), text.size());
  const std::string protocol = slash == text.size() ? "/tcp" : std::string(text.substr(slash));
  const std::string_view numbers = text.substr(0, slash);
  const std::size_t dash = std::min(numbers.find('-'), numbers.size());
  const auto number = [&](std::string_view digits) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (error != std::errc() || end != digits.data() + digits.size() || port == 0)
      refuse(line, strata::quoted(text) + " is no port");
    return port;
  };
  if (protocol != "/tcp" && protocol != "/udp" && protocol != "/sctp") refuse(line, "the protocol is tcp, udp or sctp");
  const std::uint16_t first = number(numbers.substr(0, dash));
  const std::uint16_t last = dash == numbers.size() ? first : number(numbers.substr(dash + 1));
  std::vector<std::string> all;
  for (unsigned port = first; port <= last; ++port) all.push_back(std::to_string(port) + protocol);
  if (all.empty()) refuse(line, strata::quoted(text) + " ends before it begins");
  return all;
}

struct Line {
  std::string_view whole, keyword, rest;
};

Line read_line(std::string_view whole) {
  const std::string_view text = trimmed(whole);
  const std::size_t end = std::min(text.find_first_of(blanks), text.size());
  return {whole, text.substr(0, end), trimmed(text.substr(end))};
}

void set_cmd(const Line& line, strata::RunConfig& config) { config.cmd = command_of(line.rest); }
void set_entrypoint(const Line& line, strata::RunConfig& config) { config.entrypoint = command_of(line.rest); }
void set_user(const Line& line, strata::RunConfig& config) { config.user = line.rest; }
void set_stop_signal(const Line& line, strata::RunConfig& config) { config.stop_signal = line.rest; }
void add_env(const Line& line, strata::RunConfig& config) {
  for (const auto& [name, value] : assignments(line.whole, line.rest)) set_env(config.env, name, value);
}
void add_labels(const Line& line, strata::RunConfig& config) {
  for (const auto& [name, value] : assignments(line.whole, line.rest)) config.labels[name] = value;
}
void add_ports(const Line& line, strata::RunConfig& config) {
  for (const std::string& word : words(line.whole, line.rest))
    for (std::string& port : ports(line.whole, word)) insert_sorted(config.exposed_ports, std::move(port));
}
void add_volumes(const Line& line, strata::RunConfig& config) {
  for (std::string& volume : list_of(line.whole, line.rest)) insert_sorted(config.volumes, std::move(volume));
}
/// A relative one is beneath what there is.
void set_working_dir(const Line& line, strata::RunConfig& config) {
  std::string directory = config.working_dir.empty() ? "/" : config.working_dir;
  if (line.rest.front() == '/')
    directory = line.rest;
  else
    directory += (directory.back() == '/' ? "" : "/") + std::string(line.rest);
  config.working_dir = std::move(directory);
}

using Change = void (*)(const Line&, strata::RunConfig&);
constexpr std::array<std::pair<std::string_view, Change>, 9> changes{{{"CMD", set_cmd},
                                                                      {"ENTRYPOINT", set_entrypoint},
                                                                      {"ENV", add_env},
                                                                      {"EXPOSE", add_ports},
                                                                      {"LABEL", add_labels},
                                                                      {"STOPSIGNAL", set_stop_signal},
                                                                      {"USER", set_user},
                                                                      {"VOLUME", add_volumes},
                                                                      {"WORKDIR", set_working_dir}}};

/// Of any case, as in a Dockerfile.
bool is_keyword(std::string_view text, std::string_view keyword) {
  return std::ranges::equal(text, keyword,
                            [](char a, char b) { return (a >= 'a' && a <= 'z' ? a - 'a' + 'A' : a) == b; });
}

}  // namespace

void apply_changes(const std::vector<std::string>& lines, strata::ImageConfig& config) {
  bool entrypoint = false, cmd = false;
  for (const std::string& text : lines) {
    const Line line = read_line(text);
    const auto change =
        std::ranges::find_if(changes, [&](const auto& one) { return is_keyword(line.keyword, one.first); });
    if (change == changes.end())
      refuse(text, "it begins with none of CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME, WORKDIR");
    if (line.rest.empty()) refuse(text, "there is nothing behind " + std::string(change->first));
    change->second(line, config.config);
    entrypoint |= change->first == "ENTRYPOINT";
    cmd |= change->first == "CMD";
  }
  // The arguments of another program mean nothing to the new one.
  if (entrypoint && !cmd) config.config.cmd.reset();
}

void add_changes(CLI::App& command, std::vector<std::string>& lines) {
  command
      .add_option("--change", lines,
                  "A change of the image's config, as a Dockerfile has it: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, "
                  "STOPSIGNAL, USER, VOLUME or WORKDIR; repeatable")
      ->type_name("LINE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false)
      ->check([](const std::string& line) -> std::string {
        try {
          strata::ImageConfig config;
          apply_changes({line}, config);
          return {};
        } catch (const strata::Error& error) {
          return error.what();
        }
      });
}

}  // namespace layerctl
