#include "store/tree_check.hpp"

#include <strata/error.hpp>

#include "base/resources.hpp"
#include "store/content_check.hpp"
#include "tree/directory.hpp"
#include "tree/file_type.hpp"
#include "tree/raw_names.hpp"

#include <dirent.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <exception>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <system_error>
#include <thread>
#include <tuple>
#include <unordered_map>

namespace strata::detail {

namespace {

using Kind = Damage::Kind;

std::string octal(std::uint32_t mode) {
  char text[16];
  std::snprintf(text, sizeof text, "%04o", mode);
  return text;
}

class TreeCheck {
 public:
  using Id = ExpectedTree::Id;
  static constexpr Id none = ExpectedTree::none;

  TreeCheck(int tree, const ExpectedTree& expected, UnionForm form, VerifyLevel level, const Control& control)
      : tree_(tree),
        fs_(open_beneath(tree, "fs", O_RDONLY | O_DIRECTORY)),
        expected_(expected),
        opaque_mark_(std::string(overlay_prefix(form)) + "opaque"),
        reads_(level != VerifyLevel::quick),
        control_(control),
        seen_(expected.size()) {}

  std::vector<Finding> run() {
    note_kept();
    open_.push_back(ExpectedTree::root);
    seen_[ExpectedTree::root] = 1;
    {
      constexpr unsigned most = 4;
      constexpr std::size_t worth_threads = 256;  // names: less is looked at while a thread begins
      const unsigned threads =
          expected_.size() < worth_threads ? 1 : std::clamp(std::thread::hardware_concurrency(), 1U, most);
      std::vector<std::jthread> beside;
      for (unsigned i = 1; i < threads; ++i) {
        try {
          beside.emplace_back([this] { work(); });
        } catch (const std::system_error&) {
          break;  // there can't be another thread: those that are there do the work
        }
      }
      work();
    }
    if (failure_) std::rethrow_exception(failure_);
    find_missing();
    compare_links();
    if (reads_) check_kept();
    std::ranges::sort(findings_, {},
                      [](const Finding& one) { return std::tie(one.damage.path, one.damage.kind, one.damage.what); });
    return std::move(findings_);
  }

 private:
  /// What each of the threads has for itself.
  struct Worker {
    ContentCheck check;
    RawNames names;
  };

  /// What each of the threads does: one directory after another.
  void work() {
    std::optional<Worker> worker;
    try {
      worker.emplace(Worker{ContentCheck(control_.stop), {}});
    } catch (...) {
      const std::lock_guard hold(mutex_);
      if (!failure_) failure_ = std::current_exception();
      changed_.notify_all();
      return;
    }
    std::unique_lock hold(mutex_);
    for (;;) {
      changed_.wait(hold, [this] { return !open_.empty() || busy_ == 0 || failure_; });
      if (open_.empty() || failure_) return;
      const Id id = open_.back();
      open_.pop_back();
      ++busy_;
      hold.unlock();
      std::exception_ptr failure;
      try {
        look_through(id, *worker);
      } catch (...) {
        failure = std::current_exception();
      }
      hold.lock();
      --busy_;
      if (failure && !failure_) failure_ = failure;
      changed_.notify_all();
    }
  }

  void look_through(Id id, Worker& worker) {
    if (control_.stop.stop_requested()) throw_error(errc::cancelled, "verify", "the layer");
    const std::string path = expected_.path(id);
    try {
      list(id, path, worker);
    } catch (const Error& error) {
      if (error.code() == errc::cancelled || is_shortage(error.code())) throw;
      found(Kind::unreadable, path, error.what(), id);
      const std::lock_guard hold(mutex_);
      unread_.insert(id);
    }
  }

  void list(Id id, const std::string& path, Worker& worker) {
    FileDescriptor dir(try_open(path, O_RDONLY | O_DIRECTORY));
    const int error = errno;
    const FileDescriptor place = dir ? FileDescriptor() : open_beneath(fs_.get(), path, O_PATH | O_DIRECTORY, path);
    const int fd = dir ? dir.get() : place.get();
    if (expected_[id].there || expected_[id].opaque) compare(id, path, stat_of(fd, path), read_xattrs(fd, "", path));
    if (expected_.is_closed(id)) return;
    if (!dir) throw_errno(error, "look through", quoted(path));
    worker.names.read(fd, path);
    const std::span<RawNames::Name> entries = worker.names.all();
    // As far as a disk has an order, it is this one; and, most of the time, that in which the tar has them.
    std::ranges::sort(entries, {}, [](RawNames::Name entry) { return entry->d_ino; });
    std::string at = path.empty() ? path : path + '/';
    const std::size_t directory_size = at.size();
    Id child = id;
    std::vector<Id> below;
    std::uint64_t bytes = 0;
    for (const RawNames::Name entry : entries) {
      at.resize(directory_size);
      at += entry->d_name;
      child = expected_.child(id, entry->d_name, child);
      if (child == none || !expected_[child].there) {
        found(Kind::added, at, "no entry of the layer has put it there", none);
        continue;
      }
      seen_[child] = 1;
      if (expected_[child].type == TarType::directory && entry->d_type == DT_DIR)
        below.push_back(child);
      else
        bytes += look_at(fd, entry, child, at, worker.check, below);
    }
    tell(entries.size(), bytes, below);
    worker.names.clear();
  }

  FileDescriptor try_open(const std::string& path, int flags) const {
    try {
      return try_open_beneath(fs_.get(), path.empty() ? "." : path, flags, path);
    } catch (const Error& error) {
      errno = error.code().value();
      return {};
    }
  }

  void tell(std::size_t entries, std::uint64_t bytes, const std::vector<Id>& below) {
    const std::lock_guard hold(mutex_);
    open_.insert(open_.end(), below.begin(), below.end());
    if (!below.empty()) changed_.notify_all();
    progress_.entries += entries;
    progress_.bytes += bytes;
    if (!control_.observer || progress_.entries - told_ < 256) return;
    told_ = progress_.entries;
    control_.observer(progress_);
  }

  /// What isn't a directory where one is expected. Returns how many bytes were read.
  std::uint64_t look_at(int dir, RawNames::Name entry, Id id, const std::string& path, ContentCheck& check,
                        std::vector<Id>& below) {
    const ExpectedTree::Node& want = expected_[id];
    const bool reads = reads_ && want.type == TarType::file && want.link == none && want.size != 0;
    // Where it is only looked at too: attributes are cheaper to get from what is open.
    FileDescriptor file;
    if (want.type == TarType::file && want.link == none && (entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN))
      file = try_open_file(dir, entry->d_name);
    const int error = errno;
    const std::optional<Metadata> metadata = file ? stat_of(file.get(), path) : try_stat(dir, entry->d_name, path);
    if (!metadata) {  // then it has gone meanwhile
      seen_[id] = 0;
      return 0;
    }
    if (metadata->links > 1 && !metadata->is_directory() && !want.whiteout) {
      const std::lock_guard hold(mutex_);
      linked_[id] = metadata->inode;
    }
    if (want.link != none) return 0;  // its first name says what it is
    if (want.type == TarType::directory && metadata->is_directory()) {
      below.push_back(id);
      return 0;
    }
    if (!compare(id, path, *metadata, {}, false)) return 0;
    if (!want.whiteout)
      compare_xattrs(id, path, file ? read_xattrs(file.get(), "", path) : read_xattrs(dir, entry->d_name, path));
    if (want.type == TarType::symlink && read_link(dir, entry->d_name, path) != expected_.link_target(id))
      found(Kind::target, path, "its target has changed", id);
    if (!reads || metadata->size != want.size) return 0;
    if (!file) {
      if (is_shortage({error, boost::system::system_category()})) throw_errno(error, "read", quoted(path));
      found(Kind::unreadable, path, quoted(std::generic_category().message(error)) + " keeps it from being read", id);
      return 0;
    }
    try {
      const ExpectedTree::Content* const content = expected_.content(id);
      const bool good = content != nullptr
                            ? check.matches(file.get(), want.size, expected_.extents(*content), content->checksum, path)
                            : (expected_.is_unrecorded(id) && kept_.contains(metadata->inode)) ||
                                  check.is_blank(file.get(), 0, want.size, path);
      if (!good) found(Kind::content, path, "its content has changed", id);
    } catch (const Error& failure) {
      if (failure.code() == errc::cancelled || is_shortage(failure.code())) throw;
      found(Kind::unreadable, path, failure.what(), id);  // a bad sector, as likely as not
    }
    return want.size;
  }

  /// False: it is something else, of which nothing more is to be said.
  bool compare(Id id, const std::string& path, const Metadata& now, const Xattrs& xattrs, bool with_xattrs = true) {
    const ExpectedTree::Node& want = expected_[id];
    if (want.whiteout) {
      if (!now.is_whiteout()) found(Kind::type, path, "it is no longer a whiteout", id);
      return now.is_whiteout();
    }
    if (type_bits(want.type) != (now.mode & S_IFMT)) {
      found(Kind::type, path, "it has become something else", id);
      return false;
    }
    if (want.there) compare_attributes(id, path, now);
    if ((want.type == TarType::character || want.type == TarType::block) && now.rdev != want.device)
      found(Kind::device, path, "its device numbers have changed", id);
    if (want.type == TarType::file && now.size != want.size)
      found(Kind::size, path,
            "its size is " + std::to_string(now.size) + " bytes instead of " + std::to_string(want.size), id);
    if (with_xattrs) compare_xattrs(id, path, xattrs);
    return true;
  }

  void compare_attributes(Id id, const std::string& path, const Metadata& now) {
    const ExpectedTree::Node& want = expected_[id];
    if (want.type != TarType::symlink && (now.mode & 07777) != want.mode)
      found(Kind::mode, path, "its mode is " + octal(now.mode & 07777) + " instead of " + octal(want.mode), id);
    if (now.uid != want.uid || now.gid != want.gid)
      found(Kind::owner, path,
            "its owner is " + std::to_string(now.uid) + ":" + std::to_string(now.gid) + " instead of " +
                std::to_string(want.uid) + ":" + std::to_string(want.gid),
            id);
    if (now.mtime != want.mtime) found(Kind::time, path, "its time has changed", id);
  }

  void compare_xattrs(Id id, const std::string& path, const Xattrs& now) {
    const Xattrs& wanted = expected_.xattrs(id);
    const auto is_told = [&](const std::string& name) { return name != "security.selinux" && name != opaque_mark_; };
    if (expected_[id].there)
      for (const auto& [name, value] : now)
        if (is_told(name) && !wanted.contains(name))
          found(Kind::attribute, path, "it has a new attribute " + quoted(name), id);
    for (const auto& [name, value] : wanted)
      if (const auto is = now.find(name); is == now.end() || is->second != value)
        found(Kind::attribute, path, "its attribute " + quoted(name) + (is == now.end() ? " is gone" : " has changed"),
              id);
    const auto mark = now.find(opaque_mark_);
    if ((mark != now.end() && mark->second == "y") != expected_[id].opaque)
      found(Kind::opaque, path, expected_[id].opaque ? "it is no longer opaque" : "it has become opaque", id);
  }

  void find_missing() {
    for (Id id = 0; id < expected_.size(); ++id) {
      if (!expected_[id].there || seen_[id] != 0) continue;
      bool unread = false;
      for (Id at = id; !unread_.empty() && at != none; at = expected_.names()[at].parent)
        unread = unread || unread_.contains(at);
      if (!unread) found(Kind::missing, expected_.path(id), "it is missing", id);
    }
  }

  void compare_links() {
    std::unordered_map<ino_t, Id> first_by_inode;
    std::vector<Id> ids;
    for (const auto& [id, inode] : linked_) ids.push_back(id);
    std::ranges::sort(ids);
    for (const Id id : ids) {
      const Id first = expected_.first_name(id);
      if (first != id) continue;
      const auto [known, is_new] = first_by_inode.emplace(linked_[id], id);
      if (!is_new)
        found(Kind::link, expected_.path(id), "it has become one file with " + quoted(expected_.path(known->second)),
              id);
    }
    for (Id id = 0; id < expected_.size(); ++id) {
      const Id first = expected_.first_name(id);
      if (first == id || seen_[id] == 0 || seen_[first] == 0) continue;
      const auto one = linked_.find(id), other = linked_.find(first);
      if (one == linked_.end() || other == linked_.end() || one->second != other->second)
        found(Kind::link, expected_.path(id), "it is no longer one file with " + quoted(expected_.path(first)), id);
    }
  }

  /// The files in kept/, of which names may be in the tree still: what is in those is looked at here.
  void note_kept() {
    const FileDescriptor kept = try_open_beneath(tree_, "kept", O_RDONLY | O_DIRECTORY);
    if (!kept) return;
    for (const DirectoryEntry& entry : list_directory(kept.get())) kept_.insert(entry.inode);
  }

  /// Contents that are in no file of the tree by their own path.
  void check_kept() {
    ContentCheck check(control_.stop);
    const FileDescriptor kept = try_open_beneath(tree_, "kept", O_RDONLY | O_DIRECTORY);
    for (std::uint32_t i = 0; i < expected_.contents().size(); ++i) {
      const ExpectedTree::Content& content = expected_.contents()[i];
      if (content.node != none) continue;
      const FileDescriptor file =
          kept ? try_open_file(kept.get(), std::to_string(content.ordinal).c_str()) : FileDescriptor();
      bool good = false;
      try {
        good = file && stat_of(file.get()).is_file() &&
               check.matches(file.get(), content.size, expected_.extents(content), content.checksum, "");
      } catch (const Error& error) {
        if (error.code() == errc::cancelled || is_shortage(error.code())) throw;
      }
      if (good) continue;
      findings_.push_back(
          {{Kind::content, expected_.path(content), "its content of before a later entry replaced it has changed"},
           none,
           i});
    }
  }

  void found(Kind kind, std::string path, std::string what, Id id) {
    const std::lock_guard hold(mutex_);
    findings_.push_back({{kind, std::move(path), std::move(what)}, id, none});
  }

  const int tree_;
  const FileDescriptor fs_;
  const ExpectedTree& expected_;
  const std::string opaque_mark_;
  const bool reads_;
  const Control& control_;
  std::set<ino_t> kept_;
  std::vector<unsigned char> seen_;  // each written by the thread that has its directory

  std::mutex mutex_;  // for all that follows
  std::condition_variable changed_;
  std::vector<Id> open_;  // directories that nobody has looked at yet
  int busy_ = 0;
  std::exception_ptr failure_;
  std::vector<Finding> findings_;
  std::set<Id> unread_;
  std::unordered_map<Id, ino_t> linked_;  // of what has several names
  Progress progress_{.phase = Progress::Phase::verifying};
  std::uint64_t told_ = 0;
};

}  // namespace

std::vector<Finding> check_tree(int tree, const ExpectedTree& expected, UnionForm form, VerifyLevel level,
                                const Control& control) {
  return TreeCheck(tree, expected, form, level, control).run();
}

}  // namespace strata::detail
