// The contracts of the policies. A policy is a plain type, held by value, whose name may reach the disk. Each
// concept below is a table of valid expressions; tests/conformance/ holds one suite for each, which every model runs.
#pragma once

#include <boost/iostreams/categories.hpp>
#include <boost/iostreams/traits.hpp>

#include <concepts>
#include <cstddef>
#include <span>
#include <string_view>

namespace strata {

struct MountPlan;
struct MountProbe;
struct MountResult;
enum class UnionForm;

/// A running hash: default constructible, fed in pieces, finished once.
///
/// | expression          | type and meaning                                                     |
/// |---------------------|----------------------------------------------------------------------|
/// | `H::name`           | std::string_view; the algorithm as digests write it: [a-z0-9]+       |
/// | `H::digest_size`    | std::size_t; bytes of a digest, at most Digest::max_size             |
/// | `H::content_naming` | bool; whether nobody can make two inputs with one digest             |
/// | `h.update(bytes)`   | feeds std::span<const std::byte>; any division gives the same digest |
/// | `h.finish(out)`     | writes digest_size bytes to std::span<std::byte>; ends the hash      |
template <class H>
concept HashAlgorithm = std::default_initializable<H> && std::movable<H> &&
    requires(H h, std::span<const std::byte> bytes, std::span<std::byte> out) {
  { H::name } -> std::convertible_to<std::string_view>;
  { H::digest_size } -> std::convertible_to<std::size_t>;
  { H::content_naming } -> std::convertible_to<bool>;
  h.update(bytes);
  h.finish(out);
};

/// A HashAlgorithm that may name content: collision resistant, so that a digest stands for its bytes even where
/// someone hostile chose them.
template <class H>
concept ContentHash = HashAlgorithm<H> && H::content_naming;

namespace detail {
template <class F, class Tag>
concept FilterOf = std::movable<F> && std::convertible_to<typename boost::iostreams::category_of<F>::type, Tag>;
}

/// A compression format, built on Boost.Iostreams filters so that any such pair of filters makes one.
///
/// | expression            | type and meaning                                                                    |
/// |-----------------------|-------------------------------------------------------------------------------------|
/// | `C::name`             | std::string_view; "gzip"                                                            |
/// | `C::media_type`       | std::string_view; of a layer in it: "application/vnd.oci.image.layer.v1.tar+gzip"   |
/// | `C::recognises(head)` | bool; whether a stream with these first bytes (512, or all it has) is in this format |
/// | `c.compressor()`      | an OutputFilter, multichar and closable                                             |
/// | `c.decompressor()`    | an InputFilter, multichar                                                           |
template <class C>
concept Compression = std::copyable<C> && requires(const C c, std::span<const std::byte> head) {
  { C::name } -> std::convertible_to<std::string_view>;
  { C::media_type } -> std::convertible_to<std::string_view>;
  { C::recognises(head) } -> std::same_as<bool>;
  { c.compressor() } -> detail::FilterOf<boost::iostreams::output>;
  { c.decompressor() } -> detail::FilterOf<boost::iostreams::input>;
};

/// Something that makes one tree of many.
///
/// | expression        | type and meaning                                                                           |
/// |-------------------|--------------------------------------------------------------------------------------------|
/// | `B::name`         | std::string_view; "overlay"                                                                |
/// | `b.probe()`       | MountProbe; whether it can work here and now, and if not, why and what would help          |
/// | `b.reads(form)`   | bool; whether it reads whiteouts written in this form; it is never given another           |
/// | `b.mount(plan)`   | MountResult; the plan is mounted at plan.target when it returns, or it throws and is not   |
/// | `b.unmount(path)` | takes down the mount at path; throws Error with errc::in_use while it is busy              |
///
/// and, where it has them:
///
/// | expression        | type and meaning                                                                           |
/// |-------------------|--------------------------------------------------------------------------------------------|
/// | `B::max_layers`   | std::size_t; how many lowers it takes; as many as there are, where it doesn't say          |
/// | `b.writes(form)`  | UnionForm; in which it leaves an upper over lowers of this form; the same, where it doesn't |
/// |                   | say                                                                                        |
/// | `B::keeps`        | bool; it keeps something of each layer in plan.kept, by the names in plan.chain            |
/// | `B::whole`        | bool; it is no union: it makes plan.upper, which isn't there before, a directory of all    |
/// |                   | that the lowers show, and what is changed is changed in it. plan.target may be plan.upper: |
/// |                   | then nothing else is mounted                                                               |
/// | `b.sweep(kept)`   | of a backend to which removing directories isn't all: deletes what it has in `kept` (see   |
/// |                   | MountPlan) of containers and layers that are gone. Called after such were removed; what a  |
/// |                   | crash leaves is for its next call, or mount                                                |
template <class B>
concept MountBackend = std::movable<B> &&
    requires(const B b, const MountPlan& plan, UnionForm form, std::string_view path) {
  { B::name } -> std::convertible_to<std::string_view>;
  { b.probe() } -> std::same_as<MountProbe>;
  { b.reads(form) } -> std::same_as<bool>;
  { b.mount(plan) } -> std::same_as<MountResult>;
  b.unmount(path);
};

}  // namespace strata
