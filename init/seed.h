/* seed.h: the random seed that is carried from boot to boot. */
#ifndef RAST_INIT_SEED_H
#define RAST_INIT_SEED_H

#define SEED_PATH "/var/lib/rastos/random-seed"

void seed_load(void); /* mix it in; credit it only once a new one is safely in its place */
void seed_save(void);

#endif
