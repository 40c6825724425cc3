#include <strata/container.hpp>
#include <strata/error.hpp>

#include <nlohmann/json.hpp>

namespace strata {
namespace {

constexpr std::size_t longest_name = 200;

bool is_letter_or_digit(char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

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

std::string percent_decoded(const std::string& text) {
  const auto digit = [&](std::size_t at) -> unsigned {
    const char c = at < text.size() ? text[at] : '\0';
    if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
    if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
    throw_error(errc::damaged, "read", "member target of container.json", "a '%' without two hexadecimal digits");
  };
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      bytes += text[i];
      continue;
    }
    bytes += static_cast<char>(digit(i + 1) << 4 | digit(i + 2));
    i += 2;
  }
  return bytes;
}

}  // namespace

void check_container_name(std::string_view name) {
  bool good = !name.empty() && name.size() <= longest_name && is_letter_or_digit(name.front());
  for (const char c : name) good = good && (is_letter_or_digit(c) || c == '_' || c == '.' || c == '-');
  if (!good)
    throw_error(errc::bad_argument, "use", "container name " + quoted(name), {},
                "a name is 1 to 200 letters, digits, '_', '.' and '-', and begins with a letter or a digit");
}

std::string to_json(const Container& container) {
  nlohmann::ordered_json options = nlohmann::ordered_json::object();
  for (const auto& [name, value] : container.options.spelled()) options[name] = value;
  const nlohmann::ordered_json json = {{"name", container.name},
                                       {"layer", container.layer.to_string()},
                                       {"read_only", container.read_only},
                                       {"created", container.created},
                                       {"backend", container.backend},
                                       {"options", options},
                                       {"target", percent_encoded(container.target.native())}};
  return json.dump(1, '\t') + "\n";
}

Container container_from_json(std::string_view text, boost::filesystem::path directory) {
  const std::string shown = strata::quoted((directory / "container.json").native());
  try {
    const auto json = nlohmann::json::parse(text);
    Container container;
    container.name = json.at("name").get<std::string>();
    check_container_name(container.name);
    container.layer = Digest::parse(json.at("layer").get<std::string>());
    container.read_only = json.at("read_only").get<bool>();
    container.created = json.at("created").get<std::string>();
    container.backend = json.at("backend").get<std::string>();
    for (const auto& [name, value] : json.at("options").items()) container.options.set(name, value.get<std::string>());
    container.target = percent_decoded(json.at("target").get<std::string>());
    container.directory = std::move(directory);
    return container;
  } catch (const nlohmann::json::exception& error) {
    throw_error(errc::damaged, "read", shown, error.what());
  } catch (const Error& error) {
    throw_error(errc::damaged, "read", shown, error.what());
  }
}

}  // namespace strata
