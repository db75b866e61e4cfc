# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What no nix client would send to the daemon: worker.pl OPERATION TEXT..., with LONG for a name longer than names can be
# (Nix: src/libstore/worker-protocol.hh). Ends with 1 and the daemon's words when it refuses.
use strict;
use warnings;
use Socket;

# The daemon hangs up as soon as it has refused: what it said can still be read, also when nobody reads the rest.
$SIG{PIPE} = "IGNORE";

my ($operation, @texts) = @ARGV;
s/LONG/"a" x 300/ge for @texts;
socket(my $daemon, PF_UNIX, SOCK_STREAM, 0) or die $!;
connect($daemon, sockaddr_un("/nix/var/nix/daemon-socket/socket")) or die $!;

sub put { syswrite($daemon, pack("Q<", $_[0])) }

sub take {
    my ($length, $taken) = ($_[0], "");
    while (length $taken < $length) {
        sysread($daemon, $taken, $length - length $taken, length $taken) or die "the daemon hung up";
    }
    return $taken;
}

sub number { return unpack("Q<", take(8)) }

sub text {
    my $length = number();
    return substr(take($length + (8 - $length % 8) % 8), 0, $length);
}

# The daemon's log until it is done, or its error.
sub finish {
    while ((my $kind = number()) != 0x616c7473) {
        if ($kind == 0x63787470) {
            text();
            number();
            text();
            print text(), "\n";
            exit 1;
        }
        die sprintf("the daemon says %x", $kind) if $kind != 0x6f6c6d67;
        text();
    }
}

put(0x6e697863);
number() == 0x6478696f or die "this is no daemon";
number();
put(0x123);
put(0);
put(0);
text();
number();
finish();
put($operation);
for (@texts) {
    put(length);
    syswrite($daemon, $_ . "\0" x ((8 - length($_) % 8) % 8)) if length;
}
finish();
