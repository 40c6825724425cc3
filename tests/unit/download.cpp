#include "store/download.hpp"
#include "store/kept_blob.hpp"

#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/other_process.hpp"
#include "support/small_store.hpp"

#include <boost/filesystem/operations.hpp>

#include <stop_token>
#include <thread>

using namespace strata;
using namespace strata::test;
using detail::Download;
namespace fs = boost::filesystem;

namespace {

const std::string text = "the bytes of a blob";
const Descriptor blob{.media_type = "m", .digest = digest_of<Sha256>(std::string_view(text)), .size = text.size()};

struct Fixture : SmallStore {
  const detail::StoreCore& core = *store.core();
  fs::path file = root / ("downloads/sha256-" + blob.digest.hex());
  Download open() const { return Download::open(core, blob, {}); }
  bool can_open() const {
    std::stop_source stop;
    const std::jthread timer([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      stop.request_stop();
    });
    return !fails_with(errc::cancelled, [&] { (void)Download::open(core, blob, stop.get_token()); });
  }
};

}  // namespace

TEST_CASE("A download has one writer at a time, in all threads and processes, and what it left is taken over") {
  Fixture f;
  {
    const Download mine = f.open();
    mine.append(bytes_of(text.substr(0, 5)));
    CHECK_FALSE(f.can_open());
    const OtherProcess other([&] { return !f.can_open(); });
    CHECK(other.ready());
  }
  const Download mine = f.open();
  CHECK(mine.size() == 5);
  CHECK_FALSE(mine.is_complete());
}

TEST_CASE("A complete download is had by many, and removed when none has it") {
  Fixture f;
  std::optional<Download> one = f.open();
  one->append(bytes_of(text));
  one->complete();
  std::optional<Download> two = f.open();
  CHECK(two->is_complete());
  std::string read(text.size() + 1, ' ');
  CHECK(two->read_at(4, std::as_writable_bytes(std::span(read))) == text.size() - 4);
  CHECK(detail::broken_downloads(f.core, std::chrono::seconds(0)).empty());
  one->release();
  CHECK(fs::exists(f.file));
  two->release();
  CHECK_FALSE(fs::exists(f.file));
}

TEST_CASE("A download becomes a kept blob once") {
  Fixture f;
  const Download one = f.open();
  one.append(bytes_of(text));
  one.complete();
  const Download two = f.open();
  detail::make_blob_rooms(f.core, blob.digest);
  CHECK(one.keep());
  CHECK_FALSE(two.keep());
  CHECK(fs::file_size(f.root / f.core.blob_path(blob.digest)) == text.size());
  two.drop();  // it is not its name any more
  CHECK(fs::exists(f.root / f.core.blob_path(blob.digest)));
}

TEST_CASE("gc takes downloads that are old and that nobody has") {
  Fixture f;
  {
    const Download held = f.open();
    held.append(bytes_of("x"));
    CHECK(f.gc().downloads.empty());
  }
  CHECK(f.store.gc({.min_age = std::chrono::hours(1)}).downloads.empty());
  CHECK(f.store.gc({.dry_run = true, .min_age = std::chrono::seconds(0)}).downloads.size() == 1);
  CHECK(f.store.leftovers().size() == 1);
  CHECK(f.store.leftovers().front().kind == Leftover::Kind::download);
  CHECK(f.gc().downloads == std::vector{f.file.filename().native()});
  CHECK_FALSE(fs::exists(f.file));
}
