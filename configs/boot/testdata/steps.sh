# What is done to the units, by the systemd that runs them. Each line of /out/said is
# one thing that has to be so: "ok" or "not ok", and what.

say() { echo "$1 $2" >> /out/said; }

# is what wanted got
is() { if [ "$2" = "$3" ]; then say ok "$1"; else say "not ok" "$1: it is \"$3\", and should be \"$2\""; fi; }

# comes what command...: within 30 seconds
comes() {
  local what=$1; shift
  for _ in $(seq 150); do
    if "$@" > /dev/null 2>&1; then say ok "$what"; return; fi
    sleep 0.2
  done
  say "not ok" "$what: not within 30 s"
}

of() { systemctl show -p "$2" --value "$1"; } # a property of a unit

# anew unit pid: it runs as another process
anew() { [ "$(of "$1" ActiveState)" = active ] && [ "$(of "$1" MainPID)" != "$2" ] && [ "$(of "$1" MainPID)" != 0 ]; }

# begins unit
begins() {
  systemctl enable --now "$1"
  is "$1 starts" 0 $?
  is "$1 is active" active "$(of "$1" ActiveState)"
}

# confined unit user
confined() {
  local pid; pid=$(of "$1" MainPID)
  is "$1 runs as $2" "$2" "$(ps -o user:32= -p "$pid" | tr -d ' ')"
  is "$1 gets no new privileges" 1 "$(awk '/^NoNewPrivs:/ { print $2 }' "/proc/$pid/status")"
  is "$1 has its system calls filtered" 2 "$(awk '/^Seccomp:/ { print $2 }' "/proc/$pid/status")"
  # Beyond its own directories it sees a disk that nobody can write to.
  is "the disk of $1 is read-only" ro "$(findmnt --task "$pid" -n -o OPTIONS / | cut -d, -f1)"
}

# lives unit: what happens to a service that says it is ready, and is watched
lives() {
  local u=$1 pid
  pid=$(of "$u" MainPID)
  systemctl reload "$u"
  is "$u is reloaded" 0 $?
  comes "$u says that it was" sh -c "journalctl -u $u --no-pager -o cat | grep 'configuration reloaded'"
  is "$u is the same process" "$pid" "$(of "$u" MainPID)"

  kill -9 "$pid"
  comes "$u is started again when it is killed" anew "$u" "$pid"

  # A minute is long to wait for: the same, shorter.
  mkdir -p "/run/systemd/system/$u.service.d"
  printf '[Service]\nWatchdogSec=6s\n' > "/run/systemd/system/$u.service.d/watchdog.conf"
  systemctl daemon-reload
  systemctl restart "$u"
  is "$u is restarted" 0 $?
  sleep 8
  is "$u feeds its watchdog" 0 "$(of "$u" NRestarts)"
  pid=$(of "$u" MainPID)
  kill -STOP "$pid"
  comes "$u is started again when it hangs" anew "$u" "$pid"
  comes "the journal says why" sh -c "journalctl -u $u --no-pager -o cat | grep -i watchdog"
}

# state unit wanted
state() { [ "$(of "$1" ActiveState)" = "$2" ]; }

# drained unit: ended by hand, it stays so until it is started
drained() {
  /usr/local/bin/trunkline relay drain >&2 # which is the journal
  is "$1 is drained" 0 $?
  comes "$1 has ended" state "$1" inactive
  sleep 3 # RestartSec is one second
  is "$1 is not started again" inactive "$(of "$1" ActiveState)"
  is "$1 has not failed" success "$(of "$1" Result)"
  systemctl start "$1"
  is "$1 is started by hand" 0 $?
}

# ends unit
ends() {
  systemctl stop "$1"
  is "$1 stops" 0 $?
  is "$1 is inactive" inactive "$(of "$1" ActiveState)"
  is "$1 ended as it should" success "$(of "$1" Result)"
}

ready() { curl -fsS "http://127.0.0.1:$1/readyz"; }

for user in trunkline trunkline-agent nats; do
  id $user || useradd --system --home-dir /var/lib/$user --shell /usr/sbin/nologin $user
done
install -m 0755 -t /usr/local/bin /in/trunkline /in/trunkline-agent
install -m 0755 -T /in/nats-server /usr/sbin/nats-server
install -m 0644 -t /etc/systemd/system /in/systemd/*.service
install -d /etc/trunkline/tls
install -m 0644 -t /etc/trunkline /in/up.yaml /in/agent.yaml /in/control.yaml /in/relay.yaml /in/nats-server.conf
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=pbx.test \
  -addext 'subjectAltName=DNS:*.pbx.test' -keyout /etc/trunkline/tls/privkey.pem -out /etc/trunkline/tls/fullchain.pem
chown trunkline /etc/trunkline/tls/privkey.pem
install -m 0600 /dev/null /etc/trunkline/nats.env
systemctl daemon-reload

# All in one.
begins trunkline
confined trunkline trunkline
comes "control is ready" ready 9701
comes "the relay is ready" ready 9702
lives trunkline
comes "the relay is ready again" ready 9702
drained trunkline
ends trunkline

# The same in three services, in the order of the manual.
begins nats
confined nats nats
begins trunkline-control
confined trunkline-control trunkline
comes "control is ready by itself" ready 9701
begins trunkline-relay
confined trunkline-relay trunkline
comes "the relay is ready by itself" ready 9702
lives trunkline-control
lives trunkline-relay
comes "control is ready again" ready 9701
comes "the relay is ready again" ready 9702
drained trunkline-relay
ends trunkline-relay
ends trunkline-control
ends nats

# What cannot work does not start, and says why.
echo 'nonsense: 1' >> /etc/trunkline/up.yaml
systemctl start --no-block trunkline
comes "the journal names what is wrong" sh -c "journalctl -u trunkline --no-pager -o cat | grep nonsense"
is "trunkline does not run" 0 "$(of trunkline MainPID)"
systemctl stop trunkline

begins trunkline-agent
confined trunkline-agent trunkline-agent
comes "the PBX's page is there" curl -fsS http://127.0.0.1:9700/
lives trunkline-agent
ends trunkline-agent
say ok "all was done"
