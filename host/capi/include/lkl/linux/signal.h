/* Numbers of signals (man 7 signal). */
#ifndef LKL_LINUX_SIGNAL_H
#define LKL_LINUX_SIGNAL_H

#define LKL_SIGHUP 1
#define LKL_SIGINT 2
#define LKL_SIGQUIT 3
#define LKL_SIGILL 4
#define LKL_SIGTRAP 5
#define LKL_SIGABRT 6
#define LKL_SIGBUS 7
#define LKL_SIGFPE 8
#define LKL_SIGKILL 9
#define LKL_SIGUSR1 10
#define LKL_SIGSEGV 11
#define LKL_SIGUSR2 12
#define LKL_SIGPIPE 13
#define LKL_SIGALRM 14
#define LKL_SIGTERM 15
#define LKL_SIGCHLD 17
#define LKL_SIGCONT 18
#define LKL_SIGSTOP 19
#define LKL_SIGTSTP 20
#define LKL_SIGURG 23
#define LKL_SIGIO 29
#define LKL_SIG_BLOCK 0
#define LKL_SIG_UNBLOCK 1
#define LKL_SIG_SETMASK 2

#endif
