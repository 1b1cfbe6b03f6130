/* sandbox.h: give up what the logger does not need. */
#ifndef RAST_LOGGER_SANDBOX_H
#define RAST_LOGGER_SANDBOX_H

/* Raise the soft limit of open files to the hard one, then drop every capability for good. Failures are logged, not fatal. */
void sandbox_enter(void);

#endif
