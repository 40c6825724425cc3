#include "store/lease.hpp"

#include <strata/error.hpp>

#include "base/files.hpp"
#include "base/names.hpp"
#include "base/record.hpp"
#include "tree/directory.hpp"

#include <algorithm>

namespace strata::detail {

namespace {

std::string path_of(std::string_view name) { return "leases/" + std::string(name); }
std::string shown(std::string_view name) { return "lease " + quoted(name); }

/// An empty descriptor: there is none.
FileDescriptor open_in(int dir, const std::string& name) { return try_open_beneath(dir, name, O_RDONLY | O_DIRECTORY); }

LeaseRecord read_record(int dir, std::string_view name) {
  try {
    return lease_record_from_json(read_small_file(dir, "lease.json").value_or(""));
  } catch (Error& error) {
    error.add_context(shown(name));
    throw;
  }
}

std::string now() { return rfc3339(std::time(nullptr)); }

std::string expiry(std::optional<std::chrono::seconds> after) {
  // The forms of times are in their order up to the year 9999, and nobody is there by then.
  constexpr std::time_t last = 253402300799;
  if (!after) return "";
  const std::time_t present = std::time(nullptr);
  return rfc3339(after->count() > last - present ? last : present + std::max<std::time_t>(0, after->count()));
}

/// nullopt: it was removed meanwhile.
std::optional<LeaseState> state_of(const StoreCore& core, const std::string& name) {
  const FileDescriptor dir = open_in(core.root_descriptor(), path_of(name));
  if (!dir) return std::nullopt;
  LeaseState state{.name = name};
  try {
    LeaseRecord record = read_record(dir.get(), name);
    state.created = std::move(record.created);
    state.expires = std::move(record.expires);
    state.survives = record.survives;
    state.live = state.expires.empty() || now() < state.expires;
    if (state.live && !state.survives) state.live = !Lock::attempt(dir.get(), "lock", Lock::Kind::shared);
  } catch (const Error& error) {
    if (error.code() == errc::not_found) return std::nullopt;
    if (error.code() != errc::damaged) throw;
    state.survives = true;
  }
  if (const FileDescriptor layers = open_in(dir.get(), "layers"))
    for (const DirectoryEntry& entry : list_directory(layers.get(), shown(name)))
      if (auto id = Digest::try_parse(entry.name)) state.layers.push_back(*std::move(id));
  std::ranges::sort(state.layers);
  return state;
}

}  // namespace

std::string to_json(const LeaseRecord& record) {
  nlohmann::ordered_json json = {{"created", record.created}, {"survives", record.survives}};
  if (!record.expires.empty()) json["expires"] = record.expires;
  return json.dump(1, '\t') + "\n";
}

LeaseRecord lease_record_from_json(std::string_view text) {
  const Record json(text, "read", "the record of a lease");
  LeaseRecord record{.created = json.text("created"), .survives = json.flag("survives")};
  if (json.has("expires")) record.expires = json.text("expires");
  // Others would not be in the order of their times.
  static constexpr std::string_view form = "0000-00-00T00:00:00Z";
  bool good = record.expires.empty() || record.expires.size() == form.size();
  for (std::size_t i = 0; good && i < record.expires.size(); ++i)
    good = form[i] == '0' ? record.expires[i] >= '0' && record.expires[i] <= '9' : record.expires[i] == form[i];
  if (!good) json.damaged("expires", "it is no time like 2024-01-31T12:00:00Z");
  return record;
}

std::unique_ptr<LeaseHolder> LeaseHolder::create(std::shared_ptr<const StoreCore> core, const LeaseOptions& options) {
  const std::string name = options.name.empty() ? random_name() : options.name;
  check_name("lease", name);
  make_directory(core->root_descriptor(), "leases");  // stores of earlier versions have none
  for (;;) {
    const Draft draft(*core);
    make_directory(draft.descriptor(), "lease");
    FileDescriptor dir = open_in(draft.descriptor(), "lease");
    if (!dir) throw_errno(ENOENT, "open", shown(name));
    make_directory(dir.get(), "layers");
    core->write_record(
        dir.get(), "lease.json",
        to_json(LeaseRecord{.created = now(), .expires = expiry(options.expires_after), .survives = options.survives}));
    std::optional<Lock> lock;
    if (options.survives)
      core->sync(dir.get(), shown(name));
    else
      lock = Lock::wait(dir.get(), "lock", Lock::Kind::exclusive);
    if (draft.publish("lease", path_of(name))) {
      if (options.survives) core->sync(open_in(core->root_descriptor(), "leases").get(), "leases");
      return std::unique_ptr<LeaseHolder>(new LeaseHolder(std::move(core), name, std::move(dir), std::move(lock)));
    }
    const Lock alone = core->lock(Lock::Kind::exclusive);
    const auto other = state_of(*core, name);
    if (other && other->live)
      throw_error(errc::already_exists, "make", shown(name), "there is one that is still held",
                  "use another name, or remove it first");
    if (other) take_lease(*core, draft, name);
  }
}

std::unique_ptr<LeaseHolder> LeaseHolder::open(std::shared_ptr<const StoreCore> core, std::string_view name) {
  check_name("lease", name);
  FileDescriptor dir = open_in(core->root_descriptor(), path_of(name));
  const auto state = dir ? state_of(*core, std::string(name)) : std::nullopt;
  if (!state) throw_error(errc::not_found, "open", shown(name), "there is none");
  if (!state->survives)
    throw_error(errc::refused, "open", shown(name), "it is of one process alone", "make one that survives");
  if (!state->live) throw_error(errc::not_found, "open", shown(name), "it has expired", "make it anew");
  return std::unique_ptr<LeaseHolder>(new LeaseHolder(std::move(core), std::string(name), std::move(dir), {}));
}

LeaseHolder::~LeaseHolder() {
  if (!lock_) return;
  try {
    release();
  } catch (const std::exception&) {
    // Its lock goes now, and with that it has ended: gc removes what is left.
  }
}

void LeaseHolder::check_there() const {
  if (!dir_ || !core_->is_at(path_of(name_), dir_.get()))
    throw_error(errc::not_found, "use", shown(name_), "it was removed");
}

void LeaseHolder::place(const Digest& layer) const {
  check_there();
  const FileDescriptor layers = open_in(dir_.get(), "layers");
  const FileDescriptor file(
      layers ? sys::openat(layers.get(), layer.to_string().c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW, 0600) : -1);
  if (!file) throw_errno(errno, "add a layer to", shown(name_));
  if (!lock_) core_->sync(layers.get(), shown(name_));
}

void LeaseHolder::add(const Digest& layer) const {
  const Lock references = core_->lock(Lock::Kind::shared);
  core_->get(layer);
  place(layer);
}

void LeaseHolder::renew(std::optional<std::chrono::seconds> expires_after) const {
  const Lock references = core_->lock(Lock::Kind::shared);
  check_there();
  LeaseRecord record = read_record(dir_.get(), name_);
  record.expires = expiry(expires_after);
  const std::string draft = "lease.json." + random_name();
  core_->write_record(dir_.get(), draft, to_json(record));
  if (sys::renameat2(dir_.get(), draft.c_str(), dir_.get(), "lease.json", 0) != 0)
    throw_errno(errno, "renew", shown(name_));
  if (!lock_) core_->sync(dir_.get(), shown(name_));
}

void LeaseHolder::release() {
  if (!dir_) return;
  {
    const Draft draft(*core_);
    const Lock alone = core_->lock(Lock::Kind::exclusive);
    // Where it had ended, another may have its name by now.
    if (core_->is_at(path_of(name_), dir_.get())) take_lease(*core_, draft, name_);
  }
  dir_.reset();
  lock_.reset();
}

std::vector<LeaseState> list_leases(const StoreCore& core) {
  std::vector<LeaseState> leases;
  const FileDescriptor dir = open_in(core.root_descriptor(), "leases");
  if (!dir) return leases;
  for (const DirectoryEntry& entry : list_directory(dir.get(), "leases"))
    if (auto state = state_of(core, entry.name)) leases.push_back(*std::move(state));
  return leases;
}

void take_lease(const StoreCore& core, const Draft& draft, const std::string& name) {
  draft.take(path_of(name), "lease." + name);
  core.sync(open_in(core.root_descriptor(), "leases").get(), "leases");
}

bool remove_lease(const StoreCore& core, const std::string& name) {
  check_name("lease", name);
  const Draft draft(core);
  const Lock alone = core.lock(Lock::Kind::exclusive);
  if (!try_stat(core.root_descriptor(), path_of(name))) return false;
  take_lease(core, draft, name);
  return true;
}

}  // namespace strata::detail

namespace strata {

Lease::Lease(std::unique_ptr<detail::LeaseHolder> holder) : holder_(std::move(holder)) {}
Lease::Lease(Lease&&) noexcept = default;
Lease& Lease::operator=(Lease&&) noexcept = default;
Lease::~Lease() = default;

const std::string& Lease::name() const noexcept { return holder_->name(); }
void Lease::add(const Digest& layer) const { holder_->add(layer); }
void Lease::renew(std::optional<std::chrono::seconds> expires_after) const { holder_->renew(expires_after); }
void Lease::release() { holder_->release(); }

}  // namespace strata
