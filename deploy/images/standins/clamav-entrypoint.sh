#!/bin/sh
# As the published image: clamd in the foreground with the configuration that is mounted,
# signatures in the volume. Those are put there once, where freshclam would download them.
set -eu
[ -e /var/lib/clamav/eicar.ndb ] || cp /usr/share/standin/eicar.ndb /var/lib/clamav/
chown -R clamav:clamav /var/lib/clamav
exec clamd
