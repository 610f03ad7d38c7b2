# dpkg: builds packages with dpkg-deb, installs, lists, upgrades and removes them, with maintainer scripts and conffiles.
# stderr: any
export DEBIAN_FRONTEND=noninteractive
pkg() { mkdir -p $1/DEBIAN $1/usr/bin $1/etc $1/usr/share/doc/hello-hull; cat >$1/DEBIAN/control <<END
Package: hello-hull
Version: $2
Architecture: all
Maintainer: T <t@x>
Depends: bash${3:+, $3}
Description: test
 A package of the test.
END
echo "#!/bin/sh
echo hello $2" >$1/usr/bin/hello-hull; chmod 755 $1/usr/bin/hello-hull; echo "version $2" >$1/etc/hello-hull.conf; echo /etc/hello-hull.conf >$1/DEBIAN/conffiles; ln -sf hello-hull $1/usr/bin/hello-link; echo doc >$1/usr/share/doc/hello-hull/README
for s in preinst postinst prerm postrm; do printf '#!/bin/sh\nset -e\necho %s "$@"\n' $s >$1/DEBIAN/$s; chmod 755 $1/DEBIAN/$s; done; dpkg-deb --root-owner-group -b $1 $1.deb; }
pkg v1 1.0; pkg v2 2.0; pkg bad 3.0 no-such-package; dpkg-deb -I v1.deb | head -4 | tail -1; dpkg-deb -c v1.deb | awk '{print $1, $2, $6}'; dpkg-deb -f v1.deb Version; dpkg-deb -Zgzip -b v1 gz.deb
dpkg -i v1.deb; echo "install $?"; hello-hull; dpkg -l hello-hull | tail -1; dpkg -s hello-hull | head -3; dpkg -L hello-hull; dpkg -S /usr/bin/hello-hull; dpkg -V hello-hull; echo changed >>/usr/share/doc/hello-hull/README; dpkg -V hello-hull; echo local >>/etc/hello-hull.conf
dpkg --force-confold -i v2.deb; echo "upgrade $?"; hello-link; cat /etc/hello-hull.conf; ls /etc/hello-hull*; dpkg -i bad.deb; echo "bad $?"; dpkg -l hello-hull | tail -1; dpkg --force-all -i v1.deb 2>&1 | grep -c downgrading; dpkg -r hello-hull; echo "remove $?"; ls /usr/bin/hello* 2>&1; dpkg -l hello-hull | tail -1; dpkg -P hello-hull; echo "purge $?"; ls /etc/hello* 2>&1; dpkg -s hello-hull 2>&1 | head -1
dpkg --audit; dpkg --print-architecture; dpkg --get-selections | wc -l; dpkg-query -W -f='${Package} ${Status}\n' bash; dpkg --compare-versions 1.0~a lt 1.0 && echo lt; mkdir x; dpkg-deb -x v1.deb x; find x | sort; dpkg-divert --add --rename --divert /usr/bin/true.real /usr/bin/true; true.real; echo $?; dpkg-divert --remove --rename /usr/bin/true; update-alternatives --install /usr/bin/alt alt /usr/bin/env 10; readlink -f /usr/bin/alt; tail -2 /var/log/dpkg.log | cut -d' ' -f3-; apt-get --version | head -1; apt-cache policy bash 2>/dev/null | head -2; apt-mark showhold; apt-get check 2>&1 | tail -1; dpkg --configure -a; echo "configure $?"; start-stop-daemon --start --background --make-pidfile --pidfile /tmp/pid --exec /bin/sleep -- 100; until start-stop-daemon --status --pidfile /tmp/pid; do sleep 0.02; done; echo "status $?"; start-stop-daemon --stop --pidfile /tmp/pid --retry 60; echo "stop $?"; ldconfig -p | grep -c libc.so
