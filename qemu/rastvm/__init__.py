"""rastvm: makes rastOS images and runs them in QEMU. Standard library only.

    kernel.py    Debian's kernel: vmlinux and stripped modules, taken out of its package
    userland.py  the Debian and the busybox userland
    disk.py      btrfs images in rastOS's layout, changed through loop mounts in a mount namespace of their own
    image.py     puts the three together with what the build installed; everything cached by content
    vm.py        runs a machine for a test: serial console, guest commands, power cuts
    replay.py    power cuts that lose what the disk had not flushed
    boot.py      the program behind qemu/boot
"""
