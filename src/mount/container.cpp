#include <strata/container.hpp>
#include <strata/error.hpp>

#include "base/names.hpp"
#include "base/record.hpp"

#include <nlohmann/json.hpp>

#include <optional>

namespace strata {
namespace {

/// A path is bytes, JSON is Unicode: bytes that are not printable ASCII, and '%', become %XX.
std::string percent_encoded(const std::string& bytes) {
  constexpr char digits[] = "0123456789ABCDEF";
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte < 0x7f && c != '%') {
      text += c;
    } else {
      text += '%';
      text += digits[byte >> 4];
      text += digits[byte & 15];
    }
  }
  return text;
}

/// nullopt: a '%' without two hexadecimal digits.
std::optional<std::string> percent_decoded(const std::string& text) {
  const auto digit = [&](std::size_t at) {
    const char c = at < text.size() ? text[at] : '\0';
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
  };
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      bytes += text[i];
      continue;
    }
    const int high = digit(i + 1), low = digit(i + 2);
    if (high < 0 || low < 0) return std::nullopt;
    bytes += static_cast<char>(high << 4 | low);
    i += 2;
  }
  return bytes;
}

}  // namespace

void check_container_name(std::string_view name) { detail::check_name("container", name); }

std::string to_json(const Container& container) {
  nlohmann::ordered_json options = nlohmann::ordered_json::object();
  for (const auto& [name, value] : container.options.spelled()) options[name] = value;
  nlohmann::ordered_json json = {{"name", container.name},
                                 {"layer", container.layer.to_string()},
                                 {"read_only", container.read_only},
                                 {"created", container.created},
                                 {"backend", container.backend},
                                 {"options", options},
                                 {"target", percent_encoded(container.target.native())}};
  if (container.form) json["form"] = to_string(*container.form);
  if (container.whole) json["whole"] = true;
  if (container.image) json["image"] = container.image->to_string();
  return json.dump(1, '\t') + "\n";
}

Container container_from_json(std::string_view text, boost::filesystem::path directory) {
  const detail::Record record(text, "read", strata::quoted((directory / "container.json").native()));
  Container container;
  container.name = record.text("name");
  record.check("name", [&] { check_container_name(container.name); });
  container.layer = record.digest("layer");
  container.read_only = record.flag("read_only");
  container.created = record.text("created");
  container.backend = record.text("backend");
  if (record.has("form")) record.check("form", [&] { container.form = union_form_by_name(record.text("form")); });
  if (record.has("image")) container.image = record.digest("image");
  container.whole = record.has("whole") && record.flag("whole");
  const auto& options = record.at("options");
  if (!options.is_object()) record.damaged("options", "it is no JSON object");
  for (const auto& option : options.items()) {
    if (!option.value().is_string()) record.damaged("options", "an option that is no text");
    record.check("options", [&] { container.options.set(option.key(), option.value().get_ref<const std::string&>()); });
  }
  const auto target = percent_decoded(record.text("target"));
  if (!target) record.damaged("target", "a '%' without two hexadecimal digits");
  if (target->find('\0') != std::string::npos) record.damaged("target", "no path can have a NUL byte");
  container.target = *target;
  container.directory = std::move(directory);
  return container;
}

}  // namespace strata
