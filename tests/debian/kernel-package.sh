#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The kernel package on a Debian that boots by its own GRUB, from the first
# installation over an upgrade of Debian's kernel to the removal. The machine is
# booted five times; this script begins again each time. /srv/commands has the
# commands of README.md, and /root/build/packages what `make deb` has made.
# shellcheck disable=SC2317 # what ok, soon and is call
# shellcheck disable=SC2154 # group is lib.sh's
# shellcheck source=tests/debian/lib.sh
. /tests/lib.sh

M=1048576
export DEBIAN_FRONTEND=noninteractive
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
state=/var/lib/ptfree-run
cfg=/boot/grub/grub.cfg
cd /root || exit 1
step=1
[ ! -e $state/step ] || read -r step count bad <$state/step
note "boot $step: $(uname -r), $(cat /proc/cmdline)"

# boot_again COMMAND...: with which the machine goes down; the next step follows.
boot_again() {
	echo "$((step + 1)) $count $bad" >$state/step
	touch /run/ptfree-run-again
	note "$*"
	"$@"
	while :; do
		sleep 60
	done
}
# command N: the Nth of README.md's
command_no() {
	line=$(sed -n "$1p" /srv/commands)
	note "# $line"
	[ -n "$line" ] && eval "$line"
}
# says CODE TEXT COMMAND...: it ends with CODE, and TEXT is in what it says
says() {
	code=$1 text=$2
	shift 2
	said=$("$@" 2>&1)
	is=$?
	echo "code $is"
	echo "$said"
	[ $is = "$code" ] && case $said in *"$text"*) ;; *) false ;; esac
}
running() {	# running PATTERN: the kernel, and what GRUB has loaded
	# shellcheck disable=SC2254 # a pattern
	case $(sed -n 's/.*BOOT_IMAGE=\([^ ]*\).*/\1/p' /proc/cmdline) in
	$1) ;;
	*) cat /proc/cmdline; false ;;
	esac
}
files() { [ -e $group/init.scope/memory.pt.max ]; }
default_is() { grep -q "^ *set default=\"$1\"" $cfg || { grep 'set default' $cfg; false; }; }
one_kernel() {
	installed=$(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' "linux-image-*-ptfree*" | grep '^ii')
	echo "$installed"
	[ "$(echo "$installed" | wc -l)" = 1 ] && case $installed in *6.12.999*) false ;; esac
}
packages() { dpkg-query -W -f '${Package}\n' "linux-image-*-ptfree*" 2>/dev/null; }

# What GRUB sorts highest: Debian's kernel as it is there, by another name.
upgrade() {
	old=$(echo /boot/vmlinuz-6.1.*)
	old=${old#/boot/vmlinuz-}
	new=6.99.0-1-cloud-amd64
	mkdir -p /root/upgrade/boot /root/upgrade/DEBIAN
	cp "/boot/vmlinuz-$old" "/root/upgrade/boot/vmlinuz-$new"
	cp "/boot/initrd.img-$old" "/root/upgrade/boot/initrd.img-$new"
	cp "/boot/config-$old" "/root/upgrade/boot/config-$new"
	cat >/root/upgrade/DEBIAN/control <<-END
		Package: linux-image-$new
		Version: 6.99.0-1
		Architecture: amd64
		Maintainer: nobody <nobody@localhost>
		Description: stands for the next kernel of Debian
	END
	cat >/root/upgrade/DEBIAN/postinst <<-END
		#!/bin/sh
		set -e
		export DEB_MAINT_PARAMS="\$*" INITRD=No
		run-parts --arg=$new --arg=/boot/vmlinuz-$new /etc/kernel/postinst.d
	END
	chmod 755 /root/upgrade/DEBIAN/postinst
	dpkg-deb --root-owner-group -Znone -b /root/upgrade /root/upgrade.deb &&
		dpkg -i /root/upgrade.deb
}

firmware() {	# firmware VALUE: what the variable SecureBoot says
	mount -t tmpfs tmpfs /sys/firmware
	mkdir -p /sys/firmware/efi/efivars
	# shellcheck disable=SC2059 # the value is an escape
	printf "\\006\\000\\000\\000$1" \
		>/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c
}

case $step in
1)
	ok "Debian's own kernel runs" running "*-cloud-amd64"
	ok "without budgets" fails files
	# What has no part in which kernel is booted, and takes most of update-grub's time
	chmod -x /etc/grub.d/05_debian_theme /etc/grub.d/20_linux_xen /etc/grub.d/30_*
	ok "GRUB can be installed" grub-install /dev/vda
	ok "and looks for kernels" update-grub
	ok "Debian's kernel is the default" default_is 0
	firmware '\001'
	ok "with Secure Boot the kernel package is not installed, and says why" \
		says 1 "Secure Boot is on" dpkg -i build/packages/linux-image-*-own_*.deb
	ok "nothing of it is left" is "" sh -c "ls /boot /etc/default/grub.d /lib/modules | grep ptfree"
	dpkg-deb -e build/packages/linux-image-*-own_*.deb /root/control
	ok "PTFREE_UNSIGNED=yes installs it for whoever signs it" \
		env PTFREE_UNSIGNED=yes sh /root/control/preinst install
	umount /sys/firmware
	dpkg -P "$(packages)" >/dev/null 2>&1
	ok "the packages can be installed" command_no 2
	ok "and of those of the kernel one" one_kernel
	ok "dpkg finds nothing missing" is "" dpkg --audit
	ok "the kernel is the default" default_is "gnulinux-advanced-[^>]*>gnulinux-[0-9.]*-ptfree.*"
	ok "others than grub-mkconfig can read the file that says so" is "0" \
		sh -ec 'GRUB_DEFAULT=0; . /etc/default/grub.d/ptfree.cfg; echo "$GRUB_DEFAULT"'
	ok "nor is another choice of a kernel overruled" is "2" \
		sh -ec 'GRUB_DEFAULT=2; grub_get_device_id() { echo id; }
			. /etc/default/grub.d/ptfree.cfg; echo "$GRUB_DEFAULT"'
	boot_again command_no 3
	;;
2)
	ok "the kernel of the package runs" running "*-ptfree*"
	ok "uname says so" says 0 -ptfree uname -r
	ok "it has memory.pt.*" files
	ok "ptfree status: budgets work" says 0 "budgets work" ptfree status
	ok "no unit has failed" is "" systemctl list-units --failed --plain --no-legend
	ok "a budget can be written in a drop-in" command_no 4
	ok "and is in force" command_no 5
	ok "in the unit's cgroup" is $((64 * M)) knob redis-server.service memory.pt.max
	ok "first step back: no work in the background" sysctl vm.freept=0
	ok "it is written down" says 0 "no background work" ptfree status
	ok "a kernel with a higher version comes, as by an upgrade" upgrade
	ok "the default is still ours" default_is "gnulinux-advanced-[^>]*>gnulinux-[0-9.]*-ptfree.*"
	# shellcheck disable=SC2016 # for GRUB's shell
	echo 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX freept=off"' >/etc/default/grub.d/freept.cfg
	ok "second step back: freept=off" update-grub
	boot_again reboot
	;;
3)
	ok "after the upgrade the machine boots ours" running "*-ptfree*"
	ok "the unit runs" is active systemctl is-active redis-server
	ok "ptfree status: freept=off, the budget is not in force" \
		says 1 "booted with freept=off" ptfree status
	ok "the check at boot has failed" soon is failed systemctl is-failed ptfree-status.service
	ok "the journal has it" journal_has "booted with freept=off" -b -u ptfree-status.service
	rm /etc/default/grub.d/freept.cfg
	echo PTFREE_DEFAULT=no >>/etc/default/grub
	ok "third step back: Debian's kernel" update-grub
	ok "is the default" default_is 0
	boot_again reboot
	;;
4)
	ok "Debian's newest kernel runs" running "*/vmlinuz-6.99.*"
	ok "without budgets" fails files
	ok "the unit runs all the same" is active systemctl is-active redis-server
	ok "ptfree status names it" says 1 "redis-server.service: X-MemoryPageTableMax=" ptfree status
	ok "and says what is the matter" says 1 "the kernel cannot" ptfree status
	note "$(ptfree survey 2>&1 | head -n 4)"
	ok "ptfree survey says at most how much could be freed, as Linux 6.1 cannot tell" \
		says 0 "at most" ptfree survey
	ok "the check at boot has failed" soon is failed systemctl is-failed ptfree-status.service
	ok "the journal names the unit" journal_has "redis-server.service" -b -u ptfree-status.service
	ok "and says that it is not in force" journal_has "NOT IN FORCE" -b -u ptfree-status.service
	sed -i /PTFREE_DEFAULT/d /etc/default/grub
	update-grub >/dev/null 2>&1
	ok "the default is ours again" default_is "gnulinux-advanced-[^>]*>gnulinux-[0-9.]*-ptfree.*"
	mkdir /root/boot
	mv /boot/vmlinuz-6.*-cloud-amd64 /root/boot/
	ok "the last kernel cannot be removed" says 1 "only kernel in /boot" dpkg -r "$(packages)"
	mv /root/boot/* /boot/
	ok "it is still installed" one_kernel
	ok "the packages can be removed" command_no 6
	ok "Debian's kernel is the default" default_is 0
	boot_again command_no 7
	;;
5)
	ok "Debian's newest kernel runs" running "*/vmlinuz-6.99.*"
	ok "the unit runs, with the line in its drop-in" is active systemctl is-active redis-server
	ok "no unit has failed" is "" systemctl list-units --failed --plain --no-legend
	ok "no file is left of the packages" is "" find / -xdev \( -path /var/lib/dpkg -o \
		-path /var/log -o -path /var/cache -o -path /root -o -path $state \) -prune -o \
		-name '*ptfree*' ! -name 'ptfree-run*' -print
	finish
	;;
esac
