#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The example that makes a store of libGeoIP's tables: every answer is compared
# with libGeoIP's own.
# shellcheck source=tests/command/lib disable=SC1091,SC2154
. "$(dirname "$0")/lib"
need fused
command=$ANYKV
ANYKV=${ANYKV_BUILD:?}/examples/ip_country

if [ ! -x "$ANYKV" ]; then
    echo "1..0 # SKIP built without libGeoIP (Debian package libgeoip-dev)"
    exit 0
fi
run --folder nowhere --lookups 0
if [ "$code" = 77 ]; then
    echo "1..0 # SKIP built without libGeoIP (Debian package libgeoip-dev)"
    exit 0
fi
exits "no tables is a failure" 1
has "that names the file and its package" "nowhere/GeoIP.dat (Debian package geoip-database)" "$err"
run --frobnicate
exits "an unknown option is wrong use" 2

if [ -r /usr/share/GeoIP/GeoIP.dat ] && [ -r /usr/share/GeoIP/GeoIPv6.dat ]; then
    run --output countries.fsdb 8.8.8.8 ::ffff:8.8.8.8 192.168.0.1
    exits "a million addresses of each family" 0
    has "IPv4 as libGeoIP says" "IPv4       1000000 random addresses" "$out"
    has "IPv6 as libGeoIP says" "IPv6       1000000 random addresses" "$out"
    ok "with no other answer" test "${out#*other answers}" = "$out"
    has "an address is in its country" '{"code":"US","name":"United States"' "$out"
    has "a private one in none" "in no country" "$out"
    ANYKV=$command
    run fused lookup countries.fsdb 8.8.8.8
    exits "the command finds it too" 0
    has "in the same country" '"code":"US"' "$out"
else
    skip "a million addresses of each family" "geoip-database is not installed"
fi

done_testing
