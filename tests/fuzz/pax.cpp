// PAX records, and the forms that their values take: what was read is read again from what is written of it.
#include "fuzz/fuzz.hpp"
#include "support/tar_builder.hpp"
#include "tar/malformed.hpp"
#include "tar/pax_fields.hpp"

#include <map>

using namespace strata;
using namespace strata::detail;
using namespace strata::test;

namespace {

void check_records(std::string_view payload) {
  std::vector<PaxRecord> records;
  try {
    parse_pax(payload, records);
  } catch (const Malformed& malformed) {
    require(malformed.code == errc::bad_archive && !malformed.detail.empty());
    return;
  }
  std::string written;
  PaxFields fields;
  std::map<std::string_view, std::string_view> last;
  std::size_t xattrs = 0;
  for (const PaxRecord& record : records) {
    std::string one;
    append_pax(one, record.key, record.value);
    require(one == pax_record(record.key, record.value), one);
    written += one;
    fields.add(record);
    last[record.key] = record.value;
    xattrs += record.key.starts_with(schily_xattr) ? 1 : 0;
  }
  std::vector<PaxRecord> again;
  parse_pax(written, again);
  require(again.size() == records.size());
  for (std::size_t i = 0; i < again.size(); ++i)
    require(again[i].key == records[i].key && again[i].value == records[i].value, written);

  for (const auto& [key, where] : {std::pair<std::string_view, PaxKey>{"path", PaxKey::path},
                                   {"mtime", PaxKey::mtime},
                                   {"GNU.sparse.map", PaxKey::sparse_map},
                                   {"RHT.security.selinux", PaxKey::selinux}})
    require(fields[where] == (last.contains(key) ? last[key] : std::string_view()), written);
  require(fields.xattrs().size() == xattrs);
  for (const auto& other : fields.others()) require(last.contains(other.key));
  fields.clear();
  require(fields[PaxKey::path].empty() && fields.others().empty());
}

void check_values(std::string_view text) {
  const std::string shown(text);
  if (const auto number = parse_decimal(text)) {
    require(*number >= 0 && parse_decimal(std::to_string(*number)) == number, shown);
  }
  if (const auto time = parse_pax_time(text)) {
    require(time->nanoseconds < 1'000'000'000, shown);
    require(parse_pax_time(format_pax_time(*time)) == time, format_pax_time(*time));
  }
  require(decode_percent(encode_percent(text)) == text, shown);
  require(decode_base64(encode_base64(text)) == text, shown);
  require(decode_percent(text).size() <= text.size(), shown);
  if (const auto bytes = decode_base64(text)) require(decode_base64(encode_base64(*bytes)) == bytes, shown);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_records(text);
  check_values(text);
  if (size >= 12) {  // a time that a header can hold
    Timestamp time;
    for (std::size_t i = 0; i < 8; ++i)
      time.seconds = static_cast<std::int64_t>(static_cast<std::uint64_t>(time.seconds) << 8 | data[i]);
    for (std::size_t i = 8; i < 12; ++i) time.nanoseconds = time.nanoseconds << 8 | data[i];
    time.nanoseconds %= 1'000'000'000;
    require(parse_pax_time(format_pax_time(time)) == time, format_pax_time(time));
  }
  return 0;
}
