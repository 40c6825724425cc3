#!/bin/bash
# A newcomer's path: hosts that find strata through pkg-config, through CMake's find_package, and as a Meson
# subproject. Each compiles the README's quickstart and a check of the version, and runs the check.
#
#   run.sh pkgconfig|cmake|meson SOURCE BUILD
set -eu
kind=$1 source=$2 build=$3
here=$source/tests/consumers

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/sources"
cp "$here/version.cpp" "$source/examples/quickstart.cpp" "$work/sources/"

install_strata() {
  DESTDIR=$work/root meson install -C "$build" --no-rebuild --quiet
  prefix=$work/root$(meson introspect "$build" --buildoptions |
    python3 -c 'import json, sys; print(next(o["value"] for o in json.load(sys.stdin) if o["name"] == "prefix"))')
  libdir=$(dirname "$(find "$prefix" -name libstrata.so)")
  export LD_LIBRARY_PATH=$libdir
}

# runs_right FOLDER: the programs in it start, and the library that they found is the one of this source.
runs_right() {
  local version
  version=$(sed -n 's/^#define STRATA_VERSION "\(.*\)"/\1/p' "$source/include/strata/version.hpp")
  "$1/version" | tee "$work/said"
  grep -qx "$version sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" "$work/said"
  test -x "$1/quickstart"
}

case $kind in
pkgconfig)
  install_strata
  # A prefix that isn't the configured one, as when an archive was unpacked.
  sed -i "s|^prefix=.*|prefix=$prefix|" "$libdir/pkgconfig/strata.pc"
  if grep -n "$build\|$source\|/.*boost" "$libdir/pkgconfig/strata.pc"; then
    echo "strata.pc holds paths of the machine that built it"
    exit 1
  fi
  export PKG_CONFIG_PATH=$libdir/pkgconfig
  mkdir "$work/host"
  make -s -C "$work/host" -f "$here/pkgconfig/Makefile" SOURCES="$work/sources"
  runs_right "$work/host"
  # The static library as well, with what it needs itself.
  read -ra flags < <(pkg-config --static --cflags --libs strata)
  mv "$libdir"/libstrata.so* "$work/"
  g++ -std=c++20 -o "$work/host/version" "$work/sources/version.cpp" "${flags[@]}"
  runs_right "$work/host"
  ;;
cmake)
  install_strata
  cmake -S "$here/cmake" -B "$work/host" -DSOURCES="$work/sources" -DCMAKE_PREFIX_PATH="$prefix" >"$work/log" ||
    { cat "$work/log"; exit 1; }
  cmake --build "$work/host" >"$work/log" || { cat "$work/log"; exit 1; }
  runs_right "$work/host"
  # Where only the static library is installed, the same target is that.
  rm "$libdir"/libstrata.so*
  cmake -S "$here/cmake" -B "$work/static" -DSOURCES="$work/sources" -DCMAKE_PREFIX_PATH="$prefix" >"$work/log"
  cmake --build "$work/static" >"$work/log" || { cat "$work/log"; exit 1; }
  runs_right "$work/static"
  ;;
meson)
  mkdir -p "$work/project/subprojects/strata"
  cp "$here/meson/meson.build" "$work"/sources/*.cpp "$work/project/"
  # Neither tests nor examples nor benchmarks: a subproject must not need them.
  cp -r "$source"/{meson.build,meson_options.txt,include,src,packaging} "$work/project/subprojects/strata/"
  meson setup --buildtype=plain --default-library=static --force-fallback-for=strata "$work/build" "$work/project" \
    >"$work/log" || { cat "$work/log"; exit 1; }
  ninja -C "$work/build" --quiet
  runs_right "$work/build"
  ;;
esac
