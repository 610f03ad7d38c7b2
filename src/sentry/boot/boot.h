// `hull boot`: the sentry's process, from exec to exit.
#pragma once

int boot_main(int argc, char **argv);
