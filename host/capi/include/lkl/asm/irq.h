/*
 * Interrupts of devices. Devices here are objects with functions, not registers with interrupts, so that there is nothing to trigger: the
 * functions are there for programs that name them. lkl_get_free_irq hands out numbers from 1; -LKL_EBUSY if there are no more.
 */
#ifndef LKL_ASM_IRQ_H
#define LKL_ASM_IRQ_H

#ifdef __cplusplus
extern "C" {
#endif

/* Answers 0, or -LKL_EINVAL for a number that was not handed out. */
int lkl_trigger_irq(int irq);
int lkl_get_free_irq(const char *user);
void lkl_put_irq(int irq, const char *name);

#ifdef __cplusplus
}
#endif

#endif
