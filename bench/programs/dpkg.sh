# dpkg -i of a package of 200 files
prepare() {
	mkdir -p p/DEBIAN p/usr/share/bench
	printf '%s\n' 'Package: hull-bench' 'Version: 1' 'Architecture: all' 'Maintainer: B <b@x>' 'Description: b' >p/DEBIAN/control
	for ((i = 0; i < 200; i++)); do head -c 8192 /dev/zero >"p/usr/share/bench/f$i"; done
	dpkg-deb --root-owner-group -Zgzip -b p p.deb
}
work() { dpkg -i p.deb; }
